"""Workspaces: what owns every client, resource, template and key. One exists, `default`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from authserver.storage.connections import Connections
from authserver.storage.tables import workspaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace and its display name."""

    workspace_id: str
    name: str


class SqlWorkspaceStore:
    """The workspaces; few."""

    def __init__(self, *, connections: Connections) -> None:
        """Read through `connections`."""
        self._connections = connections

    async def all(self) -> Sequence[Workspace]:
        """Return every workspace, in the order of their ids."""
        statement = select(workspaces.c.workspace_id, workspaces.c.name).order_by(workspaces.c.workspace_id)
        async with self._connections.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return [Workspace(workspace_id=row.workspace_id, name=row.name) for row in rows]
