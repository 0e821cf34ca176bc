"""Audit events as lines of the log, under the logger's event name itself, ready to become rows of a table."""

from __future__ import annotations

from collections.abc import Callable

import structlog

_MAX_CHARACTERS = 256


class AuditLog:
    """Writes audit events into the log and counts them."""

    def __init__(self, *, count: Callable[[str], None]) -> None:
        """Call `count` with the name of each event."""
        self._count = count
        self._log = structlog.get_logger()

    def record(self, event: str, **fields: object) -> None:
        """Record one event with ids and reasons; values that a caller chose are cut to 256 characters."""
        self._count(event)
        self._log.warning(event, audit=True, **{name: _short(value) for name, value in fields.items()})


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > _MAX_CHARACTERS:
        return value[:_MAX_CHARACTERS] + "…"
    return value
