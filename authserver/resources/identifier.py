"""The identifiers of resources (RFC 8707 §2)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MAX_IDENTIFIER_CHARACTERS = 512

_CHARACTERS = r"(?:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})"
_ABSOLUTE_URI = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*:{_CHARACTERS}+")


def check_identifier(text: str) -> str:
    """Return `text`, an absolute URI without fragment (RFC 8707 §2); raise ValueError with the reason."""
    if len(text) > MAX_IDENTIFIER_CHARACTERS:
        raise ValueError(f"is longer than {MAX_IDENTIFIER_CHARACTERS} characters")
    if "#" in text:
        raise ValueError("has a fragment (RFC 8707 §2)")
    if not _ABSOLUTE_URI.fullmatch(text):
        raise ValueError("is not an absolute URI (RFC 3986 §4.3)")
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise ValueError("is not an absolute URI (RFC 3986 §4.3)") from None
    if url.scheme in {"http", "https"} and (not url.hostname or url.username is not None):
        raise ValueError("must name a host, and no user")
    return text
