"""The one or two live secrets of a client: rotation start, complete, cancel; removal; last use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, exists, insert, or_, select, update

from authserver.core.client import ClientSecret, SecretState
from authserver.core.clock import Clock
from authserver.core.errors import Conflict, NotFound
from authserver.core.ports import ChangeKind
from authserver.storage.change_log import note_change
from authserver.storage.connections import Connections, retried
from authserver.storage.tables import client_secrets, clients

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

#: Beside a client's own columns in one row: `client_id` is there already, the others are told apart by a prefix.
SECRET_COLUMNS = (
    client_secrets.c.credential_id,
    client_secrets.c.state,
    client_secrets.c.secret_hash,
    client_secrets.c.secret_hint,
    client_secrets.c.created_at.label("secret_created_at"),
    client_secrets.c.expires_at,
    client_secrets.c.last_used_at,
)

_UNDER_WAY = "A rotation is under way: complete or cancel it first."
_NOT_UNDER_WAY = "No rotation is under way."


class SqlClientSecretStore:
    """`core.ports.ClientSecretStore` on SQL."""

    def __init__(self, *, connections: Connections, clock: Clock) -> None:
        """Read and write through `connections`; `clock` dates the change log."""
        self._connections = connections
        self._clock = clock

    @retried
    async def start_rotation(self, secret: ClientSecret) -> None:
        """Add the next secret; for a client that has none it is the active one.

        Raises NotFound (client), or Conflict when a rotation is under way.
        """
        async with self._connections.writing(taken=_UNDER_WAY) as connection:
            states = await _states(connection, secret.client_id)
            if SecretState.NEXT in states:
                raise Conflict(_UNDER_WAY)
            state = SecretState.NEXT if SecretState.ACTIVE in states else SecretState.ACTIVE
            await connection.execute(insert(client_secrets).values(secret_to_row(secret) | {"state": state.value}))
            await self._note(connection, secret.client_id)

    @retried
    async def complete_rotation(self, client_id: str) -> None:
        """Delete the active secret and make the next one active; raise NotFound, Conflict (no rotation)."""
        async with self._connections.writing() as connection:
            await _require_rotation(connection, client_id)
            await connection.execute(delete(client_secrets).where(_is(client_id, SecretState.ACTIVE)))
            await _activate_next(connection, client_id)
            await self._note(connection, client_id)

    @retried
    async def cancel_rotation(self, client_id: str) -> None:
        """Delete the next secret; raise NotFound, or Conflict when no rotation is under way."""
        async with self._connections.writing() as connection:
            await _require_rotation(connection, client_id)
            await connection.execute(delete(client_secrets).where(_is(client_id, SecretState.NEXT)))
            await self._note(connection, client_id)

    @retried
    async def remove(self, client_id: str, credential_id: str) -> None:
        """Delete one secret at once; a next secret that stays alone becomes active. Raises NotFound."""
        of_client = (client_secrets.c.client_id == client_id) & (client_secrets.c.credential_id == credential_id)
        async with self._connections.writing() as connection:
            result = await connection.execute(delete(client_secrets).where(of_client))
            if result.rowcount != 1:
                raise NotFound("no such secret of this client")
            if SecretState.ACTIVE not in await _states(connection, client_id):
                await _activate_next(connection, client_id)
            await self._note(connection, client_id)

    @retried
    async def record_use(self, last_used_at: Mapping[str, int]) -> None:
        """Set `last_used_at` (seconds) of each credential id, never backwards; unknown ids are passed over."""
        if not last_used_at:
            return
        used_at = client_secrets.c.last_used_at
        statement = (
            update(client_secrets)
            .where(client_secrets.c.credential_id == bindparam("credential"))
            .where(or_(used_at.is_(None), used_at < bindparam("used_at")))
            .values(last_used_at=bindparam("used_at"))
        )
        uses = [{"credential": credential_id, "used_at": at} for credential_id, at in last_used_at.items()]
        async with self._connections.writing() as connection:
            await connection.execute(statement, uses)

    async def _note(self, connection: AsyncConnection, client_id: str) -> None:
        await note_change(connection, ChangeKind.CLIENT, client_id, now_ms=self._clock())


def secret_from_row(row: RowMapping) -> ClientSecret:
    """Build a secret from `SECRET_COLUMNS` and `client_id`."""
    return ClientSecret(
        credential_id=row["credential_id"],
        client_id=row["client_id"],
        state=SecretState(row["state"]),
        secret_hash=row["secret_hash"],
        secret_hint=row["secret_hint"],
        created_at=row["secret_created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
    )


def secret_to_row(secret: ClientSecret) -> dict[str, Any]:
    """Return the row of the table `client_secrets`."""
    return {
        "credential_id": secret.credential_id,
        "client_id": secret.client_id,
        "state": secret.state.value,
        "secret_hash": secret.secret_hash,
        "secret_hint": secret.secret_hint,
        "created_at": secret.created_at,
        "expires_at": secret.expires_at,
        "last_used_at": secret.last_used_at,
    }


def _is(client_id: str, state: SecretState) -> Any:
    return (client_secrets.c.client_id == client_id) & (client_secrets.c.state == state.value)


async def _states(connection: AsyncConnection, client_id: str) -> set[str]:
    """Return the states of a client's secrets; raise NotFound when there is no such client."""
    if not await connection.scalar(select(exists().where(clients.c.client_id == client_id))):
        raise NotFound("no such client")
    statement = select(client_secrets.c.state).where(client_secrets.c.client_id == client_id)
    return set((await connection.scalars(statement)).all())


async def _require_rotation(connection: AsyncConnection, client_id: str) -> None:
    if SecretState.NEXT not in await _states(connection, client_id):
        raise Conflict(_NOT_UNDER_WAY)


async def _activate_next(connection: AsyncConnection, client_id: str) -> None:
    statement = update(client_secrets).where(_is(client_id, SecretState.NEXT))
    await connection.execute(statement.values(state=SecretState.ACTIVE.value))
