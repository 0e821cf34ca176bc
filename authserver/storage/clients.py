"""Registered clients and, with each, its live secrets (RFC 7591 §2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from authserver.core.client import AuthMethod, Client, ClientStatus
from authserver.core.clock import Clock
from authserver.core.errors import NotFound, PreconditionFailed, ValidationFailed
from authserver.core.ports import ChangeKind, Page
from authserver.storage.change_log import note_change
from authserver.storage.client_secrets import SECRET_COLUMNS, secret_from_row, secret_to_row
from authserver.storage.connections import Connections, retried
from authserver.storage.tables import client_secrets, clients, resource_servers

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

#: No id is longer; a longer one is unknown without a look into the database (catalogue AUTH-22).
MAX_CLIENT_ID_BYTES = 1024
_FIXED = frozenset(("client_id", "workspace_id", "created_at"))
_TAKEN = "A client with this client_id exists already."


class SqlClientStore:
    """`core.ports.ClientStore` on SQL."""

    def __init__(self, *, connections: Connections, clock: Clock) -> None:
        """Read and write through `connections`; `clock` dates the change log."""
        self._connections = connections
        self._clock = clock

    async def get(self, client_id: str) -> Client | None:
        """Return the client with exactly this id, byte for byte; None also for what no client can be called."""
        if not _possible_id(client_id):
            return None
        async with self._connections.reading() as connection:
            return await _load(connection, client_id)

    async def page(self, workspace_id: str, *, after: str | None, limit: int) -> Page[Client]:
        """Return up to `limit` clients with ids greater than `after`, in the order of their ids' bytes."""
        chosen = select(clients).where(clients.c.workspace_id == workspace_id)
        if after is not None:
            chosen = chosen.where(clients.c.client_id > after)
        # One more than asked for tells whether there is a next page.
        chosen = chosen.order_by(clients.c.client_id).limit(limit + 1)
        async with self._connections.reading() as connection:
            found = _clients_from_rows((await connection.execute(_with_secrets(chosen))).mappings())
        items = found[:limit]
        return Page(items=items, next_after=items[-1].client_id if items and len(found) > limit else None)

    @retried
    async def add(self, client: Client) -> None:
        """Store a new client and its secrets; raise Conflict when the id is taken."""
        if not _possible_id(client.client_id):
            raise ValidationFailed.of("client_id", "is empty, too long or not printable text")
        async with self._connections.writing(taken=_TAKEN) as connection:
            await connection.execute(insert(clients).values(_to_row(client)))
            if client.secrets:
                await connection.execute(insert(client_secrets), [secret_to_row(secret) for secret in client.secrets])
            await note_change(connection, ChangeKind.CLIENT, client.client_id, now_ms=self._clock())

    @retried
    async def replace(self, client: Client, *, expected_version: int) -> Client:
        """Store new metadata as version `expected_version + 1`; return it with the stored secrets.

        Id, workspace and time of creation stay. Raises NotFound or PreconditionFailed.
        """
        row = _to_row(replace(client, version=expected_version + 1))
        changed = {name: value for name, value in row.items() if name not in _FIXED}
        is_expected = (clients.c.client_id == client.client_id) & (clients.c.version == expected_version)
        async with self._connections.writing() as connection:
            result = await connection.execute(update(clients).where(is_expected).values(changed))
            stored = await _load(connection, client.client_id)
            if stored is None:
                raise NotFound("no such client")
            if result.rowcount != 1:
                raise PreconditionFailed
            await note_change(connection, ChangeKind.CLIENT, client.client_id, now_ms=self._clock())
        return stored

    @retried
    async def remove(self, client_id: str, *, expected_version: int | None) -> None:
        """Delete the client, its secrets and its appointments as resource server.

        The resources that lose a server are noted as changed. Raises NotFound or PreconditionFailed.
        """
        appointed = select(resource_servers.c.resource_id).where(resource_servers.c.client_id == client_id)
        async with self._connections.writing() as connection:
            version = await connection.scalar(select(clients.c.version).where(clients.c.client_id == client_id))
            if version is None:
                raise NotFound("no such client")
            if expected_version not in {None, version}:
                raise PreconditionFailed
            resource_ids = (await connection.scalars(appointed)).all()
            await connection.execute(delete(clients).where(clients.c.client_id == client_id))
            now_ms = self._clock()
            await note_change(connection, ChangeKind.CLIENT, client_id, now_ms=now_ms)
            for resource_id in resource_ids:
                await note_change(connection, ChangeKind.RESOURCE, resource_id, now_ms=now_ms)


def _possible_id(client_id: str) -> bool:
    try:
        return 0 < len(client_id.encode()) <= MAX_CLIENT_ID_BYTES and "\x00" not in client_id
    except UnicodeEncodeError:  # a lone surrogate
        return False


async def _load(connection: AsyncConnection, client_id: str) -> Client | None:
    chosen = select(clients).where(clients.c.client_id == client_id)
    found = _clients_from_rows((await connection.execute(_with_secrets(chosen))).mappings())
    return found[0] if found else None


def _with_secrets(chosen: Select[Any]) -> Select[Any]:
    """Join the secrets to chosen clients: one statement sees one state of both."""
    chosen_clients = chosen.subquery("chosen")
    return (
        select(chosen_clients, *SECRET_COLUMNS)
        .outerjoin_from(chosen_clients, client_secrets, chosen_clients.c.client_id == client_secrets.c.client_id)
        .order_by(chosen_clients.c.client_id, client_secrets.c.state)
    )


def _clients_from_rows(rows: Iterable[RowMapping]) -> Sequence[Client]:
    return [_from_rows(list(group)) for _, group in groupby(rows, key=lambda row: row["client_id"])]


def _from_rows(rows: Sequence[RowMapping]) -> Client:
    """Build a client from one row for each of its secrets."""
    row = rows[0]
    return Client(
        client_id=row["client_id"],
        workspace_id=row["workspace_id"],
        client_name=row["client_name"],
        client_description=row["client_description"],
        status=ClientStatus(row["status"]),
        token_endpoint_auth_method=AuthMethod(row["token_endpoint_auth_method"]),
        grant_types=tuple(row["grant_types"]),
        scope=tuple(row["scope"]),
        default_scope=None if row["default_scope"] is None else tuple(row["default_scope"]),
        audiences=tuple(row["audiences"]),
        default_audience=row["default_audience"],
        trusted_metadata=row["trusted_metadata"],
        access_token_ttl_seconds=row["access_token_ttl_seconds"],
        descriptive=row["descriptive"],
        secrets=tuple(secret_from_row(each) for each in rows if each["credential_id"] is not None),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
    )


def _to_row(client: Client) -> Mapping[str, Any]:
    return {
        "client_id": client.client_id,
        "workspace_id": client.workspace_id,
        "client_name": client.client_name,
        "client_description": client.client_description,
        "status": client.status.value,
        "token_endpoint_auth_method": client.token_endpoint_auth_method.value,
        "grant_types": client.grant_types,
        "scope": client.scope,
        "default_scope": client.default_scope,
        "audiences": client.audiences,
        "default_audience": client.default_audience,
        "trusted_metadata": dict(client.trusted_metadata),
        "access_token_ttl_seconds": client.access_token_ttl_seconds,
        "descriptive": dict(client.descriptive),
        "created_at": client.created_at,
        "updated_at": client.updated_at,
        "version": client.version,
    }
