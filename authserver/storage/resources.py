"""Resources, their scopes and the clients that act as their resource servers (RFC 8707, RFC 9068)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from authserver.core.clock import Clock
from authserver.core.errors import NotFound, PreconditionFailed, ValidationFailed
from authserver.core.ports import ChangeKind
from authserver.core.resource import Resource, ResourceScope, SigningAlg, TokenType
from authserver.core.signing_key import SigningKey
from authserver.storage.change_log import note_change
from authserver.storage.connections import Connections, retried
from authserver.storage.signing_keys import supersede_keys
from authserver.storage.tables import claims_templates, clients, resource_servers, resources, signing_keys

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

_FIXED = frozenset(("resource_id", "workspace_id", "built_in", "created_at"))
_TAKEN = "A resource with this identifier exists already."


class SqlResourceStore:
    """`core.ports.ResourceStore` on SQL. `resource_servers` come back in the order of their ids."""

    def __init__(self, *, connections: Connections, clock: Clock) -> None:
        """Read and write through `connections`; `clock` dates the change log."""
        self._connections = connections
        self._clock = clock

    async def all(self) -> Sequence[Resource]:
        """Return every resource, in the order of their identifiers."""
        async with self._connections.reading() as connection:
            return await _load(connection, select(resources))

    @retried
    async def add(self, resource: Resource, *, key: SigningKey | None) -> None:
        """Store a new resource and its HS256 key, if it has one.

        Raises Conflict (identifier taken) or ValidationFailed (an unknown client as resource server).
        """
        async with self._connections.writing(taken=_TAKEN) as connection:
            await connection.execute(insert(resources).values(_to_row(resource)))
            await _appoint(connection, resource)
            await self._note(connection, resource, key)

    @retried
    async def replace(self, resource: Resource, *, expected_version: int, key: SigningKey | None) -> Resource:
        """Store as version `expected_version + 1`; return it as stored. Id, workspace and `built_in` stay.

        A new HS256 `key` puts an end to earlier ones. Raises NotFound, Conflict (identifier taken),
        PreconditionFailed or ValidationFailed (an unknown client as resource server).
        """
        row = _to_row(replace(resource, version=expected_version + 1))
        changed = {name: value for name, value in row.items() if name not in _FIXED}
        this = resources.c.resource_id == resource.resource_id
        async with self._connections.writing(taken=_TAKEN) as connection:
            await _require(connection, resource.resource_id, expected_version)
            await connection.execute(update(resources).where(this).values(changed))
            former = delete(resource_servers).where(resource_servers.c.resource_id == resource.resource_id)
            await connection.execute(former)
            await _appoint(connection, resource)
            await self._note(connection, resource, key)
            (stored,) = await _load(connection, select(resources).where(this))
        return stored

    @retried
    async def remove(self, resource_id: str, *, expected_version: int | None) -> None:
        """Delete the resource, its templates and its HS256 keys; raise NotFound or PreconditionFailed."""
        kids = select(signing_keys.c.kid).where(signing_keys.c.resource_id == resource_id)
        templates = select(claims_templates.c.version).where(claims_templates.c.resource_id == resource_id)
        async with self._connections.writing() as connection:
            await _require(connection, resource_id, expected_version)
            forgotten = [(ChangeKind.SIGNING_KEY, kid) for kid in (await connection.scalars(kids)).all()]
            if (await connection.execute(templates.limit(1))).first() is not None:
                forgotten.append((ChangeKind.TEMPLATE, resource_id))
            await connection.execute(delete(resources).where(resources.c.resource_id == resource_id))
            for kind, changed in [(ChangeKind.RESOURCE, resource_id), *forgotten]:
                await note_change(connection, kind, changed, now_ms=self._clock())

    async def _note(self, connection: AsyncConnection, resource: Resource, key: SigningKey | None) -> None:
        now_ms = self._clock()
        if key is not None:
            await supersede_keys(connection, key, now_ms=now_ms)
        await note_change(connection, ChangeKind.RESOURCE, resource.resource_id, now_ms=now_ms)


async def _require(connection: AsyncConnection, resource_id: str, expected_version: int | None) -> None:
    version = await connection.scalar(select(resources.c.version).where(resources.c.resource_id == resource_id))
    if version is None:
        raise NotFound("no such resource")
    if expected_version not in {None, version}:
        raise PreconditionFailed


async def _appoint(connection: AsyncConnection, resource: Resource) -> None:
    appointed = sorted(set(resource.resource_servers))
    if not appointed:
        return
    known = select(clients.c.client_id).where(clients.c.client_id.in_(appointed))
    if len((await connection.scalars(known)).all()) != len(appointed):
        raise ValidationFailed.of("resource_servers", "names a client that does not exist")
    rows = [{"resource_id": resource.resource_id, "client_id": client_id} for client_id in appointed]
    await connection.execute(insert(resource_servers), rows)


async def _load(connection: AsyncConnection, chosen: Select[Any]) -> Sequence[Resource]:
    chosen_resources = chosen.subquery("chosen")
    statement = (
        select(chosen_resources, resource_servers.c.client_id)
        .outerjoin_from(
            chosen_resources,
            resource_servers,
            chosen_resources.c.resource_id == resource_servers.c.resource_id,
        )
        .order_by(chosen_resources.c.identifier, chosen_resources.c.resource_id, resource_servers.c.client_id)
    )
    rows = (await connection.execute(statement)).mappings()
    return [_from_rows(list(group)) for _, group in groupby(rows, key=lambda row: row["resource_id"])]


def _from_rows(rows: Sequence[RowMapping]) -> Resource:
    """Build a resource from one row for each of its resource servers."""
    row = rows[0]
    return Resource(
        resource_id=row["resource_id"],
        workspace_id=row["workspace_id"],
        identifier=row["identifier"],
        name=row["name"],
        scopes=tuple(_scope_from_json(scope) for scope in row["scopes"]),
        signing_alg=SigningAlg(row["signing_alg"]),
        token_typ=TokenType(row["token_typ"]),
        access_token_ttl_seconds=row["access_token_ttl_seconds"],
        resource_servers=tuple(each["client_id"] for each in rows if each["client_id"] is not None),
        built_in=row["built_in"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
    )


def _scope_from_json(scope: Mapping[str, Any]) -> ResourceScope:
    return ResourceScope(name=scope["name"], description=scope["description"], includes=tuple(scope["includes"]))


def _to_row(resource: Resource) -> Mapping[str, Any]:
    return {
        "resource_id": resource.resource_id,
        "workspace_id": resource.workspace_id,
        "identifier": resource.identifier,
        "name": resource.name,
        "scopes": [{"name": s.name, "description": s.description, "includes": s.includes} for s in resource.scopes],
        "signing_alg": resource.signing_alg.value,
        "token_typ": resource.token_typ.value,
        "access_token_ttl_seconds": resource.access_token_ttl_seconds,
        "built_in": resource.built_in,
        "created_at": resource.created_at,
        "updated_at": resource.updated_at,
        "version": resource.version,
    }
