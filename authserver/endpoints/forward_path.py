"""Paths that rules may be matched with: one spelling each, so that proxy, rules and service see the same one.

A path that anybody could read in two ways (RFC 3986 §6.2.2, HTTP-10) is refused, not repaired: dot segments, empty
segments, escaped separators and dots, escapes of escapes, parameters, backslashes, controls, bytes that are no UTF-8,
text that is not in the normal form NFC (UAX #15).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote_to_bytes

from authserver.core.errors import AccessDenied

MAX_PATH_CHARACTERS: Final = 2048

#: What separates, hides or ends something in a path, for one server or another.
SPECIAL: Final = "/\\.%;?#"

# pchar of RFC 3986 §3.3 without ";", which begins parameters that some servers cut off.
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*")
_HIDDEN = re.compile("%(?:2f|5c|2e|25|3b|3f|23)", re.IGNORECASE)
_NOT_A_SEGMENT = re.compile(r"//|/\.\.?(?:/|\Z)")


def plain_path(raw: str) -> str:
    """Return the decoded path without a slash at its end, "" for `/`; raise AccessDenied for a path of two readings."""
    if len(raw) > MAX_PATH_CHARACTERS:
        raise AccessDenied("the original path is too long")
    if not _PATH.fullmatch(raw) or _NOT_A_SEGMENT.search(raw):
        raise AccessDenied("the original path has an empty or a dot segment, or a character that stands in no path")
    return (_decoded(raw) if "%" in raw else raw).removesuffix("/")


def _decoded(raw: str) -> str:
    if _HIDDEN.search(raw):
        raise AccessDenied("the original path hides a separator, a dot or an escape behind an escape")
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise AccessDenied("the original path is not UTF-8") from None
    if not text.isprintable() or _looks_special(text):
        raise AccessDenied("the original path has a character that is not printed, or passes for another")
    if not is_composed(text):
        raise AccessDenied("the original path is not in the normal form NFC of Unicode")
    return text


def is_composed(text: str) -> bool:
    """Tell whether a text is in NFC: an accent that stands alone would be a second spelling of a path."""
    return unicodedata.is_normalized("NFC", text)


def _looks_special(text: str) -> bool:
    """Tell whether some character is a special one in another guise: U+FF0F for a slash (UAX #15, NFKC)."""
    others = "".join(character for character in text if not character.isascii())
    return any(character in SPECIAL for character in unicodedata.normalize("NFKC", others))
