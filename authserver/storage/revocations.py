"""Revocations in the order in which they were made (RFC 7009 §2): the truth that every index is filled from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
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

#: Read by the driver itself: a million entries load in half the time.
_PAGE = """
SELECT kind, value, workspace_id, revoked_at_ms, expires_at, reason, actor, sequence
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
                    stored.append(wanted._replace(sequence=sequence))
        return stored

    async def since(self, sequence: int) -> AsyncIterator[Sequence[Revocation]]:
        """Yield batches of the entries with a greater sequence, in order."""
        while batch := await self.page(after=sequence, limit=BATCH):
            yield batch
            sequence = batch[-1].sequence

    async def page(self, *, after: int, limit: int) -> Sequence[Revocation]:
        """Return up to `limit` entries with a sequence greater than `after`, in order."""
        rows = await self._connections.rows(_PAGE, after, limit)
        return [  # a million at a start: `_make` takes half the time of a call
            Revocation._make((_KINDS[kind], value, workspace_id, revoked_at_ms, expires_at, reason, actor, sequence))
            for kind, value, workspace_id, revoked_at_ms, expires_at, reason, actor, sequence in rows
        ]

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
    return entry._replace(
        revoked_at_ms=max(entry.revoked_at_ms, stored.revoked_at_ms),
        expires_at=max(entry.expires_at, stored.expires_at),
    )


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
