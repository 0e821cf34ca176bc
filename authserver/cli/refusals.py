"""What the verbs refuse, in the words of the command line: the option and what it was given, not the field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from authserver.administration.resources import NO_CLIENT
from authserver.core.errors import Conflict, FieldProblem, ValidationFailed
from authserver.core.json_value import Json
from authserver.core.secret import is_generated

_OPTIONS = {
    "client_id": "--client-id",
    "client_name": "--name",
    "client_description": "--description",
    "client_secret": "--client-secret-stdin",
    "scope": "--scope",
    "default_scope": "--default-scope",
    "audiences": "--audience",
    "default_audience": "--default-audience",
    "trusted_metadata": "--metadata",
    "access_token_ttl_seconds": "--ttl",
    "token_endpoint_auth_method": "--auth-method",
    "identifier": "--identifier",
    "name": "--name",
    "scopes": "--scope",
    "signing_alg": "--alg",
    "token_typ": "--typ",
    "resource_servers": "--server",
    "hs256_secret": "--secret-stdin",
    "reason": "--reason",
}
_NOT_REPEATED = frozenset({"client_secret", "hs256_secret", "trusted_metadata", "value"})  # `value` may be a token
_MAX_CHARACTERS = 200
_WHOLE = "body"
_FIELD_IN_WORDS = re.compile(r"`([a-z_]+)`")


@contextmanager
def in_options(document: Mapping[str, Json], **names: str) -> Iterator[None]:
    """Refuse in terms of the options that `document` was made of; `names` has the options of further fields."""
    try:
        yield
    except ValidationFailed as error:
        options = _OPTIONS | names
        raise click.ClickException("; ".join(_told(p, document, options) for p in error.problems)) from None


@contextmanager
def unless_taken(thing: str, command: str) -> Iterator[None]:
    """Refuse a `thing` that exists already with the `command` that changes it."""
    try:
        yield
    except Conflict:
        raise click.ClickException(f"{thing} exists already; to change it: {command}") from None


def _told(found: FieldProblem, document: Mapping[str, Json], options: Mapping[str, str]) -> str:
    field, problem = found.field, found.problem
    if field == _WHOLE and problem.partition(": ")[0] in options:
        field, _, problem = problem.partition(": ")
    name = field.partition(".")[0]
    option, value = options.get(name, name), _value(field, document)
    if problem == NO_CLIENT:
        return f"{option}: no client{value} (authserver clients create makes one)"
    words = _FIELD_IN_WORDS.sub(lambda match: options.get(match[1], match[0]), problem)
    return f"{option}{value}: {' '.join(words.split())}"


def _value(path: str, document: Mapping[str, Json]) -> str:
    """Return the text or number at the path, after a space; "" when there is none, or it is long or may be secret."""
    top, *rest = path.split(".")
    value = None if top in _NOT_REPEATED else document.get(top)
    for part in rest:
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, str | int) or is_generated(str(value)):  # a secret, in the place of something else
        return ""
    return f" {value!r}" if len(str(value)) <= _MAX_CHARACTERS else ""
