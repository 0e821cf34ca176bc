"""The event loop that our processes run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def fastest_event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the fastest one that is installed, None for Python's own."""
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop
