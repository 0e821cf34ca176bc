"""The change log: what caches must forget, in order. Every change of a stored thing leaves a row with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select

from authserver.core.ports import Change, ChangeKind
from authserver.storage.connections import Connections
from authserver.storage.tables import change_log

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

#: A row is kept while it is one of the newest or young: a follower that lags less is never told to start over.
KEPT_ROWS = 10_000
KEPT_MS = 24 * 3600 * 1000
_PRUNE_EVERY = 1_000

#: The next number, under the lock that every write holds: no hole that a follower could take for a lost row. A
#: sequence of the database itself would leave one behind each transaction that was rolled back.
_NEXT = select(func.coalesce(func.max(change_log.c.sequence), 0) + 1).scalar_subquery()
_NOTE = insert(change_log).values(sequence=_NEXT).returning(change_log.c.sequence)


async def note_change(connection: AsyncConnection, kind: ChangeKind, key: str, *, now_ms: int) -> None:
    """Add a row within the caller's transaction; every thousandth row sweeps the old ones out."""
    sequence = (await connection.execute(_NOTE, {"kind": kind.value, "key": key, "at_ms": now_ms})).scalar_one()
    if sequence % _PRUNE_EVERY == 0:
        old = (change_log.c.sequence <= sequence - KEPT_ROWS) & (change_log.c.at_ms < now_ms - KEPT_MS)
        await connection.execute(delete(change_log).where(old))


class SqlChangeLog:
    """`core.ports.ChangeLog` on SQL."""

    def __init__(self, *, connections: Connections) -> None:
        """Read through `connections`."""
        self._connections = connections

    async def stamp(self) -> object:
        """Return a value that differs whenever another connection may have written since."""
        return await self._connections.stamp()

    async def position(self) -> int:
        """Return the newest sequence, 0 when the log is empty."""
        async with self._connections.reading() as connection:
            newest: int | None = await connection.scalar(select(func.max(change_log.c.sequence)))
        return newest or 0

    async def since(self, sequence: int) -> Sequence[Change] | None:
        """Return the changes after `sequence`, oldest first.

        None when rows after it were pruned, or when it lies ahead of the log, as after a restored backup.
        """
        columns = change_log.c.sequence, change_log.c.kind, change_log.c.key
        # The row at `sequence` itself is read too: it proves that the log reaches back without a hole.
        statement = select(*columns).where(change_log.c.sequence >= sequence).order_by(change_log.c.sequence)
        async with self._connections.reading() as connection:
            rows = (await connection.execute(statement)).all()
        if not rows:
            return [] if sequence == 0 else None
        if rows[0].sequence != max(sequence, 1):
            return None
        return [Change(row.sequence, ChangeKind(row.kind), row.key) for row in rows if row.sequence > sequence]
