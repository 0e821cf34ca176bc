"""An access token as a value, and the clock by which it is measured (RFC 6749 §5.1)."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. Its times are milliseconds of `elapsed_ms`, and count from when it was asked for."""

    access_token: str = field(repr=False)
    asked_at_ms: int
    lifetime_ms: int
    scope: str | None = None
    """The scope granted, space-separated; None when the server did not say, hence as asked for."""

    @property
    def header(self) -> str:
        """Return the value of an Authorization header (RFC 6750 §2.1)."""
        return f"Bearer {self.access_token}"


def elapsed_ms() -> int:
    """Return milliseconds since some fixed moment: no one sets this clock, and on Linux it counts a machine's sleep."""
    if sys.platform == "linux":
        nanoseconds = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    else:
        nanoseconds = time.monotonic_ns()
    return nanoseconds // 1_000_000
