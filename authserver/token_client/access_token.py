"""An access token as a value, and the clock by which it is measured (RFC 6749 §5.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from authserver.core.clock import MS_PER_SECOND, uptime


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
    """Return monotonic milliseconds, time asleep included where the system counts it."""
    return int(uptime() * MS_PER_SECOND)
