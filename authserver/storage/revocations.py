"""Revocations in the order in which they were made (RFC 7009 §2): the truth that every index is filled from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, func, select, text

from authserver.core.revocation import Revocation, RevocationKind
from authserver.storage.connections import Connections, retried
from authserver.storage.tables import revocations as table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

#: Rows of one read while loading, and of one transaction while pruning: other work gets its turn in between.
BATCH = 5_000

_KINDS = {kind.value: kind for kind in RevocationKind}

# The slots of the frozen dataclass, set directly: its constructor takes twice as long, which a million entries feel.
(
    _set_sequence,
    _set_kind,
    _set_value,
    _set_workspace_id,
    _set_revoked_at_ms,
    _set_expires_at,
    _set_reason,
    _set_actor,
) = (getattr(Revocation, column.name).__set__ for column in table.columns)

#: Read by the driver itself: a million entries load in half the time.
_PAGE = """
SELECT sequence, kind, value, workspace_id, revoked_at_ms, expires_at, reason, actor
FROM revocations WHERE sequence > $1 ORDER BY sequence LIMIT $2
"""
#: As text: SQLAlchemy has no word for it that both backends share, and both understand this.
_INSERT = text("""
INSERT INTO revocations (kind, value, workspace_id, revoked_at_ms, expires_at, reason, actor)
VALUES (:kind, :value, :workspace_id, :revoked_at_ms, :expires_at, :reason, :actor)
ON CONFLICT DO NOTHING RETURNING sequence
""")


class SqlRevocationStore:
    """`core.ports.RevocationStore` on SQL."""

    def __init__(self, *, connections: Connections) -> None:
        """Read and write through `connections`."""
        self._connections = connections

    @retried
    async def add(self, revocations: Sequence[Revocation]) -> Sequence[Revocation]:
        """Store all in one transaction; return those that were new or moved a watermark, with their sequence.

        A watermark takes the later of both times and of both ends: it never lets a token live again that it refused.
        It moves to a new sequence, so that everybody who follows sees it.
        """
        stored = []
        async with self._connections.writing() as connection:
            for entry in revocations:
                wanted = entry if entry.kind is RevocationKind.JTI else await _move(connection, entry)
                sequence = await connection.scalar(_INSERT, _to_row(wanted))
                if sequence is not None:
                    stored.append(replace(wanted, sequence=sequence))
        return stored

    async def since(self, sequence: int) -> AsyncIterator[Sequence[Revocation]]:
        """Yield batches of the entries with a greater sequence, in order."""
        while batch := await self.page(after=sequence, limit=BATCH):
            yield batch
            sequence = batch[-1].sequence

    async def page(self, *, after: int, limit: int) -> Sequence[Revocation]:
        """Return up to `limit` entries with a sequence greater than `after`, in order."""
        return [_from_row(row) for row in await self._connections.rows(_PAGE, after, limit)]

    async def prune(self, now_seconds: int) -> int:
        """Delete the entries whose `expires_at` has passed, in several transactions; return how many.

        The newest entry stays: it is the position that everybody compares with.
        """
        newest = select(func.max(table.c.sequence)).scalar_subquery()
        expired = select(table.c.sequence).where(table.c.expires_at < now_seconds, table.c.sequence < newest)
        expired = expired.limit(BATCH)
        deleted = 0
        while True:
            async with self._connections.writing() as connection:
                result = await connection.execute(delete(table).where(table.c.sequence.in_(expired)))
            deleted += result.rowcount
            if result.rowcount < BATCH:
                return deleted


async def _move(connection: AsyncConnection, entry: Revocation) -> Revocation:
    """Make room for a watermark that goes further than the stored one; return what to store.

    A stored watermark that already goes as far stays in place, and the insertion that follows does nothing.
    """
    this = and_(
        table.c.kind == entry.kind.value,
        table.c.value == entry.value,
        table.c.workspace_id == entry.workspace_id,
    )
    found = select(table.c.revoked_at_ms, table.c.expires_at).where(this)
    stored = (await connection.execute(found)).one_or_none()
    if stored is None or (stored.revoked_at_ms >= entry.revoked_at_ms and stored.expires_at >= entry.expires_at):
        return entry
    await connection.execute(delete(table).where(this))
    return replace(
        entry,
        revoked_at_ms=max(entry.revoked_at_ms, stored.revoked_at_ms),
        expires_at=max(entry.expires_at, stored.expires_at),
    )


def _from_row(row: Iterable[Any]) -> Revocation:
    """Build an entry from the columns of `_PAGE`."""
    entry = object.__new__(Revocation)
    sequence, kind, value, workspace_id, revoked_at_ms, expires_at, reason, actor = row
    _set_sequence(entry, sequence)
    _set_kind(entry, _KINDS[kind])
    _set_value(entry, value)
    _set_workspace_id(entry, workspace_id)
    _set_revoked_at_ms(entry, revoked_at_ms)
    _set_expires_at(entry, expires_at)
    _set_reason(entry, reason)
    _set_actor(entry, actor)
    return entry


def _to_row(entry: Revocation) -> Mapping[str, Any]:
    return {
        "kind": entry.kind.value,
        "value": entry.value,
        "workspace_id": entry.workspace_id,
        "revoked_at_ms": entry.revoked_at_ms,
        "expires_at": entry.expires_at,
        "reason": entry.reason,
        "actor": entry.actor,
    }
