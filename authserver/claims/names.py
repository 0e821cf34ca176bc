"""Which names a template may use: for claims, for members, for what it looks up and for request parameters.

RFC 7519 §4.1 and RFC 9068 §2.2 for the registered claims, RFC 6749 and its extensions for parameters.
Each `…_problem` returns why a name is refused, or None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

#: Claims that only the server sets, whatever their case (RFC 7519 §4.1, RFC 9068 §2.2, RFC 8693 §4).
REGISTERED_CLAIMS: Final = frozenset({
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope",
    "cnf", "act", "may_act", "azp", "token_type",
})  # fmt: skip

#: The server's own claims, and the member that decides an introspection response (RFC 7662 §2.2).
SERVER_CLAIMS: Final = frozenset({"workspace_id", "credential_id", "active"})

#: Names that change the prototype of an object in a careless JavaScript consumer.
PROTOTYPE_NAMES: Final = frozenset({"__proto__", "constructor", "prototype"})

#: What a path may start with. `request` is apart: its names are those that the template declares.
PUBLIC_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "client": frozenset({
        "client_id", "client_name", "client_description", "status", "scope", "audiences", "created_at",
        "trusted_metadata",
    }),
    "workspace": frozenset({"workspace_id", "name"}),
    "token": frozenset({
        "client_id", "sub", "aud", "scope", "iat", "exp", "jti", "iss", "credential_id", "workspace_id",
    }),
}  # fmt: skip
REQUEST: Final = "request"

#: The fields in which a path may go on; all others are plain values.
_STRUCTURED: Final = frozenset({("client", "trusted_metadata"), ("client", "audiences"), ("token", "aud")})

#: Parameters with a meaning of their own at a token endpoint (IANA OAuth Parameters registry).
_OAUTH_PARAMETERS: Final = frozenset({
    "access_token", "actor_token", "actor_token_type", "assertion", "audience", "auth_req_id",
    "authorization_details", "client_assertion", "client_assertion_type", "client_id", "client_secret",
    "code", "code_challenge", "code_challenge_method", "code_verifier", "device_code", "dpop_jkt",
    "grant_type", "id_token_hint", "nonce", "password", "redirect_uri", "refresh_token", "request",
    "request_uri", "requested_token_type", "resource", "response_mode", "response_type", "scope", "state",
    "subject_token", "subject_token_type", "token", "token_type_hint", "user_code", "username",
})  # fmt: skip

_CLAIM_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_:/.-]{0,127}")
_MAX_MEMBER_NAME: Final = 128
_SHOWN: Final = 40


def shown(name: str) -> str:
    """Return a name for an error message: quoted, in ASCII, never long."""
    return ascii(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")


def claim_name_problem(name: str) -> str | None:
    """Judge the name of a claim, a member at the top of the template."""
    if name.strip().casefold() in REGISTERED_CLAIMS | SERVER_CLAIMS:
        return f"{shown(name)} is set by the server and cannot be set by a template"
    if name not in PROTOTYPE_NAMES and not _CLAIM_NAME.fullmatch(name):
        return (
            f"{shown(name)} is not a claim name: use a letter or _, then up to 127 letters, digits or any of _ : / . -"
        )
    return member_name_problem(name)


def member_name_problem(name: str) -> str | None:
    """Judge the name of a member inside a claim."""
    if name in PROTOTYPE_NAMES:
        return f"{shown(name)} is refused: it is unsafe for JavaScript consumers"
    if len(name) > _MAX_MEMBER_NAME:
        return f"the name {shown(name)} has more than {_MAX_MEMBER_NAME} characters"
    return None


def parameter_problem(name: str) -> str | None:
    """Judge the name of a request parameter that a template declares."""
    if name.casefold() in _OAUTH_PARAMETERS:
        return f"request.{name} is a parameter of OAuth itself and cannot be declared"
    return None


def path_problem(root: str, field: str, *, goes_on: bool, declared: frozenset[str]) -> str | None:
    """Judge what a path names: `root.field`, and whether it `goes_on` below that."""
    if root == REQUEST:
        return _request_problem(field, goes_on=goes_on, declared=declared)
    if root not in PUBLIC_FIELDS:
        return f"{shown(root)} is not known here: a path starts with client, workspace, token or request"
    if field not in PUBLIC_FIELDS[root]:
        return f"{root} has no public field {shown(field)}: use one of {', '.join(sorted(PUBLIC_FIELDS[root]))}"
    if goes_on and (root, field) not in _STRUCTURED:
        return f"{root}.{field} is a plain value, nothing lies below it"
    return None


def _request_problem(name: str, *, goes_on: bool, declared: frozenset[str]) -> str | None:
    if name not in declared:
        return f"the request parameter {shown(name)} is not declared: put a line `accept request.NAME` in front"
    if goes_on:
        return f"request.{name} is a plain value, nothing lies below it"
    return None
