"""Facts about the deployment, by name."""

from __future__ import annotations

from sqlalchemy import select, text

from authserver.storage.connections import Connections, retried
from authserver.storage.tables import deployment_state

#: Stores a value, in place of an earlier one; migrations use it too.
PUT = text("""
INSERT INTO deployment_state (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
""")


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

    @retried
    async def put(self, name: str, value: str) -> None:
        """Store a value under `name`, in place of an earlier one."""
        async with self._connections.writing() as connection:
            await connection.execute(PUT, {"name": name, "value": value})
