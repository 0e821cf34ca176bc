"""The door to the database: every store, over one set of connections."""

from __future__ import annotations

from sqlalchemy import text

from authserver.core.clock import Clock
from authserver.storage.address import names_postgresql
from authserver.storage.change_log import SqlChangeLog
from authserver.storage.client_secrets import SqlClientSecretStore
from authserver.storage.clients import SqlClientStore
from authserver.storage.connections import Connections
from authserver.storage.resources import SqlResourceStore
from authserver.storage.revocations import SqlRevocationStore
from authserver.storage.signing_keys import SqlSigningKeyStore
from authserver.storage.state import SqlStateStore
from authserver.storage.templates import SqlTemplateStore
from authserver.storage.workspaces import SqlWorkspaceStore


class Database:
    """The stores of one database; `close` it before the event loop ends."""

    def __init__(self, *, connections: Connections, clock: Clock) -> None:
        """Build every store over `connections`, which this object owns from now on."""
        self._connections = connections
        self.workspaces = SqlWorkspaceStore(connections=connections)
        self.clients = SqlClientStore(connections=connections, clock=clock)
        self.client_secrets = SqlClientSecretStore(connections=connections, clock=clock)
        self.resources = SqlResourceStore(connections=connections, clock=clock)
        self.templates = SqlTemplateStore(connections=connections, clock=clock)
        self.signing_keys = SqlSigningKeyStore(connections=connections, clock=clock)
        self.revocations = SqlRevocationStore(connections=connections)
        self.changes = SqlChangeLog(connections=connections)
        self.state = SqlStateStore(connections=connections)

    async def ping(self) -> None:
        """Read the schema's first page; raise TemporarilyUnavailable when the database does not answer."""
        async with self._connections.reading() as connection:
            await connection.execute(text("SELECT version_num FROM alembic_version"))

    async def close(self) -> None:
        """Close every connection; what is asked afterwards raises TemporarilyUnavailable."""
        await self._connections.close()


def open_database(url: str, *, clock: Clock) -> Database:
    """Return the stores of the database at `url`, connected on first use. Tables are made by `migrate.upgrade`.

    A missing file is created with mode 0600; a server must have the database. Raises ConfigurationError for a URL
    that is not supported.
    """
    return Database(connections=_connections(url), clock=clock)


def _connections(url: str) -> Connections:
    """Choose the backend; only the one that is used is loaded."""
    if names_postgresql(url):
        from authserver.storage.postgresql import PostgresqlConnections  # noqa: PLC0415
        from authserver.storage.postgresql_address import postgresql_address  # noqa: PLC0415

        return PostgresqlConnections(address=postgresql_address(url))
    from authserver.storage.sqlite import SqliteConnections  # noqa: PLC0415
    from authserver.storage.sqlite_file import create_file, sqlite_path  # noqa: PLC0415

    path = sqlite_path(url)
    create_file(path)
    return SqliteConnections(path=path)
