"""JSON from a stranger: an object whose members have one reading, or refused. No input raises anything else."""

from __future__ import annotations

import json

from authserver.core.json_value import Json
from authserver.jose.errors import UntrustedToken


def read_object(content: bytes, what: str) -> dict[str, Json]:
    """Return the JSON object in `content`; raise UntrustedToken for anything else.

    That includes NaN, nesting too deep, a member that is there twice, since two parsers might each take another one
    (RFC 7515 §4, RFC 7519 §4), and half a surrogate pair, which no database and no answer can hold (RFC 8259 §8.2).
    """
    try:
        value = _DECODER.decode(content.decode())
        if b"\\ud" in content or b"\\uD" in content:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # UnicodeError and an integer of too many digits among them
        raise UntrustedToken(f"the {what} is not JSON with one reading") from None
    if not isinstance(value, dict):
        raise UntrustedToken(f"the {what} is not a JSON object")
    return value


def _once(members: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a member is there twice")
    return found


def _refuse_constant(name: str) -> Json:
    raise ValueError(name)


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse_constant)
