"""JSON from a stranger: an object, or refused. No input raises anything else."""

from __future__ import annotations

import json

from authserver.core.client import Json
from authserver.jose.errors import TokenRefused


def read_object(content: bytes, what: str) -> dict[str, Json]:
    """Return the JSON object in `content`; raise TokenRefused for anything else, NaN and too deep nesting included."""
    try:
        value = _DECODER.decode(content.decode())
    except (ValueError, RecursionError):  # UnicodeDecodeError and an integer of too many digits among them
        raise TokenRefused(f"the {what} is no JSON") from None
    if not isinstance(value, dict):
        raise TokenRefused(f"the {what} is no JSON object")
    return value


def _refuse_constant(name: str) -> Json:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
