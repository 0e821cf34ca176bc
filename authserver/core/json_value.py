"""A JSON value (RFC 8259 §3)."""

from __future__ import annotations

from typing import Any

Json = Any  # None, bool, int, float, str, list[Json] or dict[str, Json]
