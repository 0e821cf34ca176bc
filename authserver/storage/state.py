"""Facts about the deployment, by name."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from authserver.storage.connections import Connections
from authserver.storage.tables import deployment_state


class SqlStateStore:
    """`core.ports.StateStore` on SQL."""

    def __init__(self, *, connections: Connections) -> None:
        """Read and write through `connections`."""
        self._connections = connections

    async def get(self, name: str) -> str | None:
        """Return the value stored under `name`."""
        statement = select(deployment_state.c.value).where(deployment_state.c.name == name)
        async with self._connections.reading() as connection:
            value: str | None = await connection.scalar(statement)
        return value

    async def put(self, name: str, value: str) -> None:
        """Store a value under `name`, in place of an earlier one."""
        new = insert(deployment_state).values(name=name, value=value)
        statement = new.on_conflict_do_update(index_elements=["name"], set_={"value": new.excluded.value})
        async with self._connections.writing() as connection:
            await connection.execute(statement)
