"""What counts as JSON here (RFC 8259 §6, §8.2): finite numbers of 64 bits, text that has a UTF-8 form."""

from __future__ import annotations

import math
import re
from typing import Final

import msgspec

from authserver.core.json_value import Json

MAX_NESTING: Final = 16

_SMALLEST_INTEGER: Final = -(1 << 63)
_LARGEST_INTEGER: Final = (1 << 64) - 1
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")

#: Compact UTF-8, as it counts against every size limit. Writes NaN as `null`: see `has_odd_number`.
encode: Final = msgspec.json.Encoder().encode

#: What `encode` raises for a lone surrogate, a foreign type, an endless integer or a bottomless nesting.
UNWRITABLE: Final = (ValueError, TypeError, OverflowError, RecursionError)


def number_problem(value: float) -> str | None:
    """Return why an int or a float has no safe JSON form, or None."""
    if isinstance(value, int):
        fits = _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER
        return None if fits else "an integer must fit into 64 bits"
    return None if math.isfinite(value) else "NaN and Infinity are not JSON"


def text_problem(text: str) -> str | None:
    """Return why a string has no UTF-8 form, or None."""
    if not text.isascii() and _LONE_SURROGATE.search(text):
        return "a lone surrogate is not text"
    return None


def is_plain(value: Json) -> bool:
    """Tell whether `value` can be written as JSON and read back as the same."""
    try:
        encode(value)
    except UNWRITABLE:
        return False
    return not has_odd_number(value)


def has_odd_number(value: Json) -> bool:
    """Tell whether NaN or Infinity lies anywhere in `value`. Uses a list, so no nesting exhausts the stack."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, (list, tuple)):
            waiting.extend(item)
        elif isinstance(item, float) and not math.isfinite(item):
            return True
    return False
