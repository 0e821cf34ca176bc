"""Query parameters and the cursors of pages; whatever is unknown, repeated or altered is refused."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from urllib.parse import parse_qsl

from authserver.admin.description import QueryParameter
from authserver.core.errors import FieldProblem, ValidationFailed

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
MAX_QUERY_BYTES = 4096
MAX_CURSOR_CHARACTERS = 400

LIMIT = QueryParameter(name="limit", description=f"Entries on a page, 1 to {MAX_LIMIT}.", integer=True)
AFTER = QueryParameter(name="after", description="`next_after` of the page before.")
PAGE = (LIMIT, AFTER)

_CHECKSUM_BYTES = 4


def parse_query(query: bytes, known: tuple[QueryParameter, ...]) -> Mapping[str, str]:
    """Return the parameters; raise ValidationFailed for an unknown, repeated or undecodable one."""
    if not query:
        return {}
    try:
        if len(query) > MAX_QUERY_BYTES:
            raise ValidationFailed.of("query", "is too long")
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=16)
    except ValueError:
        raise ValidationFailed.of("query", "cannot be read") from None
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValidationFailed.of("query", "names a parameter twice")
    names = {parameter.name for parameter in known}
    if not values.keys() <= names:
        allowed = ", ".join(sorted(names)) or "none"
        raise ValidationFailed.of("query", f"has an unknown parameter; known here: {allowed}")
    return values


def limit_of(query: Mapping[str, str]) -> int:
    """Return the size of the page, 50 by default; raise ValidationFailed outside of 1 to 200."""
    text = query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    # ASCII digits only, and few of them: int() reads other scripts, signs, spaces and thousands of digits.
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT)) else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise ValidationFailed(FieldProblem("limit", f"must be a number from 1 to {MAX_LIMIT}"))
    return limit


def cursor(key: str | None) -> str | None:
    """Return the opaque cursor of a key, None for None."""
    if key is None:
        return None
    raw = key.encode()
    return base64.urlsafe_b64encode(_checksum(raw) + raw).decode().rstrip("=")


def key_of_cursor(query: Mapping[str, str]) -> str | None:
    """Return the key inside `after`, None without one; raise ValidationFailed for a cursor that is not ours.

    The checksum finds mistakes, not forgers: a key made up only starts a list elsewhere.
    """
    text = query.get("after")
    if text is None:
        return None
    key = _decoded(text) if len(text) <= MAX_CURSOR_CHARACTERS else None
    if key is None or cursor(key) != text:
        raise ValidationFailed(FieldProblem("after", "is no cursor of this list"))
    return key


def _decoded(text: str) -> str | None:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return raw[_CHECKSUM_BYTES:].decode()
    except (ValueError, binascii.Error):
        return None


def _checksum(raw: bytes) -> bytes:
    return zlib.crc32(raw).to_bytes(_CHECKSUM_BYTES, "big")
