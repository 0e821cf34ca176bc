"""Claims templates with all their versions, so that an earlier one can be restored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from authserver.core.claims_template import StoredTemplate
from authserver.core.clock import Clock
from authserver.core.errors import PreconditionFailed
from authserver.core.ports import ChangeKind
from authserver.storage.change_log import note_change
from authserver.storage.connections import Connections, retried
from authserver.storage.tables import claims_templates, owner_of

if TYPE_CHECKING:
    from sqlalchemy import Select

_COLUMNS = (
    claims_templates.c.workspace_id,
    claims_templates.c.resource_id,
    claims_templates.c.version,
    claims_templates.c.source,
    claims_templates.c.created_at,
)


class SqlTemplateStore:
    """`core.ports.TemplateStore` on SQL."""

    def __init__(self, *, connections: Connections, clock: Clock) -> None:
        """Read and write through `connections`; `clock` dates the change log."""
        self._connections = connections
        self._clock = clock

    async def current(self) -> Sequence[StoredTemplate]:
        """Return the newest version of every template, removed ones left out."""
        table, others = claims_templates, claims_templates.alias("others")
        newest = select(func.max(others.c.version)).where(others.c.owner == table.c.owner).scalar_subquery()
        statement = select(*_COLUMNS).where(table.c.version == newest, table.c.source.is_not(None))
        return await self._read(statement.order_by(table.c.owner))

    async def history(self, workspace_id: str, resource_id: str | None) -> Sequence[StoredTemplate]:
        """Return all versions of one template, newest first."""
        statement = select(*_COLUMNS).where(
            claims_templates.c.owner == owner_of(workspace_id, resource_id),
            claims_templates.c.workspace_id == workspace_id,
        )
        return await self._read(statement.order_by(claims_templates.c.version.desc()))

    @retried
    async def save(self, template: StoredTemplate) -> None:
        """Store `template.version`, which must follow the newest stored one; raise PreconditionFailed.

        Raises Conflict when the resource does not exist.
        """
        owner = owner_of(template.workspace_id, template.resource_id)
        newest = select(func.max(claims_templates.c.version)).where(claims_templates.c.owner == owner)
        row = {
            "owner": owner,
            "version": template.version,
            "workspace_id": template.workspace_id,
            "resource_id": template.resource_id,
            "source": template.source,
            "created_at": template.created_at,
        }
        async with self._connections.writing(taken=PreconditionFailed.description) as connection:
            if template.version != (await connection.scalar(newest) or 0) + 1:
                raise PreconditionFailed
            await connection.execute(insert(claims_templates).values(row))
            changed = template.resource_id or template.workspace_id
            await note_change(connection, ChangeKind.TEMPLATE, changed, now_ms=self._clock())

    async def _read(self, statement: Select[Any]) -> Sequence[StoredTemplate]:
        async with self._connections.reading() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [StoredTemplate(**row) for row in rows]
