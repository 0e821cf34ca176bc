"""Time, as the rest of the code sees it: integer milliseconds or seconds since 1970-01-01 UTC."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

#: Returns the present time in integer milliseconds since the epoch. Passed in, so that decisions stay pure.
Clock = Callable[[], int]

MS_PER_SECOND = 1000

#: Monotonic seconds, time asleep included where the system counts it (CLOCK_BOOTTIME).
uptime: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)


def system_clock() -> int:
    """Return the operating system's time in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def seconds(now_ms: int) -> int:
    """Return whole seconds since the epoch, as `iat` and `exp` count them (RFC 7519 §2, NumericDate)."""
    return now_ms // MS_PER_SECOND


def rfc3339(epoch_seconds: int) -> str:
    """Return `2026-01-31T12:00:00Z` for a number of seconds since the epoch (RFC 3339 §5.6)."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
