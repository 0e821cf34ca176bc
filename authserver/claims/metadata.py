"""The rules for `trusted_metadata`: a small, plain JSON object that every consumer reads alike (RFC 8259)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from authserver.claims.names import PROTOTYPE_NAMES, REGISTERED_CLAIMS, shown
from authserver.claims.plain_json import MAX_NESTING, encode, number_problem, text_problem
from authserver.core.errors import ValidationFailed
from authserver.core.json_value import Json

MAX_METADATA_BYTES: Final = 8 * 1024

_FIELD: Final = "trusted_metadata"


def validate_trusted_metadata(value: Json) -> None:
    """Raise ValidationFailed for `trusted_metadata` unless `value` is an object that a client may carry.

    An object of at most 8 KB as JSON and 16 levels, with numbers of 64 bits and text that has a UTF-8 form.
    Names of registered claims are refused at its top, so that no consumer takes one for the token's own.
    """
    problem = _problem(value)
    if problem is not None:
        raise ValidationFailed.of(_FIELD, problem)


def _problem(value: Json) -> str | None:
    if not isinstance(value, dict):
        return "must be a JSON object"
    for name in value:
        if isinstance(name, str) and name.strip().casefold() in REGISTERED_CLAIMS:
            return f"{shown(name)} is a registered claim: choose another name"
    problem = _fault(value, level=1)
    if problem is None and len(encode(value)) > MAX_METADATA_BYTES:
        return f"longer than {MAX_METADATA_BYTES} bytes as JSON"
    return problem


def _fault(value: Json, level: int) -> str | None:
    """Return the first thing that is wrong in `value`, at any depth; the limit bounds the recursion."""
    match value:
        case None | bool():
            return None
        case int() | float():
            return number_problem(value)
        case str():
            return text_problem(value)
        case dict() | list():
            return _fault_inside(value, level)
        case _:
            return "holds something that is not JSON"


def _fault_inside(value: dict[Json, Json] | list[Json], level: int) -> str | None:
    if level > MAX_NESTING:
        return f"nested more than {MAX_NESTING} deep"
    names, items = (value.keys(), value.values()) if isinstance(value, dict) else ((), value)
    return _first(map(_name_fault, names)) or _first(_fault(item, level + 1) for item in items)


def _name_fault(name: Json) -> str | None:
    if not isinstance(name, str):
        return "every name must be a string"
    if name in PROTOTYPE_NAMES:
        return f"the name {shown(name)} is refused: it is unsafe for JavaScript consumers"
    return text_problem(name)


def _first(problems: Iterable[str | None]) -> str | None:
    return next((problem for problem in problems if problem is not None), None)
