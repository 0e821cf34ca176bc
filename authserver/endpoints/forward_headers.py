"""Identity as header fields, for a proxy to hand on. Whatever a token says, no value can end a line.

A value is visible ASCII; everything else, `%` and the space among it, is percent-encoded UTF-8 (RFC 3986 §2.1). Only
`X-Auth-Scope` has its spaces. All fields are always there, the empty ones too, so that a proxy which copies them
overwrites what a client may have sent under their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from authserver.core.errors import AccessDenied
from authserver.core.identity import Identity
from authserver.core.json_value import Json
from authserver.wire.answers import encode_json

#: All values together; proxies hold the head of an answer in a buffer of 4 or 8 KB.
MAX_VALUE_BYTES: Final = 8192

Fields = tuple[tuple[bytes, bytes], ...]

_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")
_PLAIN = re.compile(r"[\x21-\x24\x26-\x7e]*")
_PLAIN_WORDS = re.compile(r"[\x20-\x24\x26-\x7e]*")


def identity_fields(identity: Identity | None, claims: Iterable[tuple[str, bytes]]) -> Fields:
    """Return the header fields of an identity, empty ones for nobody.

    `claims` are the names of claims, and the header for each. Raises AccessDenied when they would be too long.
    """
    if identity is None:
        values: tuple[bytes, ...] = (b"", b"", b"", b"")
        more = tuple((header, b"") for _, header in claims)
    else:
        values = (
            header_value(identity.client_id),
            header_value(identity.subject),
            _scope_value(identity.scope),
            header_value(identity.workspace_id),
        )
        more = tuple((header, claim_value(identity.claims.get(claim))) for claim, header in claims)
    if sum(map(len, values)) + sum(len(value) for _, value in more) > MAX_VALUE_BYTES:
        raise AccessDenied(f"scope and claims take more than {MAX_VALUE_BYTES} bytes as headers")
    client_id, subject, scope, workspace_id = values
    return (
        (b"x-auth-client-id", client_id),
        (b"x-auth-subject", subject),
        (b"x-auth-scope", scope),
        (b"x-auth-workspace", workspace_id),
        *more,
    )


def claim_value(value: Json) -> bytes:
    """Return a claim: a text as it is, null as nothing, everything else as compact JSON, all percent-encoded."""
    if value is None:
        return b""
    if isinstance(value, str):
        return header_value(value)
    try:
        return header_value(encode_json(value).decode())
    except (ValueError, OverflowError, RecursionError):  # numbers and depths that no template makes
        raise AccessDenied("a claim that is asked for cannot be written") from None


def header_value(text: str) -> bytes:
    """Return a text as visible ASCII."""
    return text.encode() if _PLAIN.fullmatch(text) else _quoted(text, _VISIBLE)


def _scope_value(text: str) -> bytes:
    return text.encode() if _PLAIN_WORDS.fullmatch(text) else _quoted(text, _VISIBLE + " ")


def _quoted(text: str, safe: str) -> bytes:
    return quote(text.encode("utf-8", "surrogatepass"), safe=safe).encode()
