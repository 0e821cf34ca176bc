"""How long tokens live in a test, in place of what the database remembers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


def lives(seconds: int) -> Callable[[], Awaitable[int]]:
    """Return what says that no token lives longer."""

    async def longest() -> int:
        return seconds

    return longest
