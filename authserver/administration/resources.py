"""Resources: create, read, change and delete, with the secret of those that sign with HS256."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from authserver.administration.actor import Actor
from authserver.administration.ports import Settle
from authserver.administration.scopes import AdminScope
from authserver.administration.validation import merged, validated
from authserver.audit.events import AuditEvent
from authserver.core.clock import Clock, seconds
from authserver.core.errors import Conflict, FieldProblem, NotFound, PreconditionFailed, ValidationFailed
from authserver.core.identifiers import new_id
from authserver.core.json_value import Json
from authserver.core.ports import AuditSink, ClientStore, ResourceStore
from authserver.core.resource import Resource, SigningAlg
from authserver.core.secret import generate_secret
from authserver.core.signing_key import SigningKey
from authserver.resources.registration import ResourceCreate, change, metadata_of, register

SHARED_SECRET_PREFIX = "hs"
NO_CLIENT = "is no client here"


class SharedKeys(Protocol):
    """Makes the stored key of a secret that a resource shares with the server."""

    def shared_key(self, *, workspace_id: str, resource_id: str, secret: bytes) -> SigningKey:
        """Return an active HS256 key for the resource, its secret sealed."""


class ResourceAdministration:
    """The verbs for resources. Each raises InsufficientScope when the actor may not, NotFound when there is none.

    `resources:write` is power over every resource of the workspace but the built-in one, which nobody changes.
    """

    def __init__(
        self,
        *,
        store: ResourceStore,
        clients: ClientStore,
        keys: SharedKeys,
        audit: AuditSink,
        clock: Clock,
        settle: Settle,
        max_ttl_seconds: int,
    ) -> None:
        """Work on `store`; resource servers must be known to `clients`."""
        self._store = store
        self._clients = clients
        self._keys = keys
        self._audit = audit
        self._clock = clock
        self._settle = settle
        self._max_ttl_seconds = max_ttl_seconds

    async def create(self, actor: Actor, document: Mapping[str, Json]) -> tuple[Resource, str | None]:
        """Register a resource; return it with its HS256 secret, if it has one, which is never shown again.

        Raises ValidationFailed, or Conflict when the identifier is taken.
        """
        actor.require(AdminScope.RESOURCES_WRITE)
        form = await self._checked(actor, document)
        resource = register(
            form, resource_id=new_id("res"), workspace_id=actor.workspace_id, now_seconds=seconds(self._clock())
        )
        secret = _shared_secret(form, present=None)
        await self._store.add(resource, key=self._key(resource, secret))
        await self._done(AuditEvent.RESOURCE_CREATED, actor, resource)
        return resource, secret

    async def get(self, actor: Actor, resource_id: str) -> Resource:
        """Return one resource by its id."""
        actor.require(AdminScope.RESOURCES_READ)
        return await self._present(actor, resource_id)

    async def find(self, actor: Actor, identifier: str) -> Resource:
        """Return one resource by its identifier URI."""
        for resource in await self.list(actor):
            if resource.identifier == identifier:
                return resource
        raise NotFound(f"no resource {identifier!r}; see `authserver resources list`")

    async def list(self, actor: Actor) -> Sequence[Resource]:
        """Return all resources of the workspace, in the order of their identifiers."""
        actor.require(AdminScope.RESOURCES_READ)
        return [r for r in await self._store.all() if r.workspace_id == actor.workspace_id]

    async def update(
        self, actor: Actor, resource_id: str, patch: Mapping[str, Json], *, expected_version: int | None = None
    ) -> tuple[Resource, str | None]:
        """Apply a merge patch (RFC 7396); return the new state, and the HS256 secret if it got a new one.

        Raises ValidationFailed, Conflict, or PreconditionFailed when the version is another than expected.
        """
        actor.require(AdminScope.RESOURCES_WRITE)
        present = await self._present(actor, resource_id, expected_version)
        _refuse_built_in(present)
        form = await self._checked(actor, merged(metadata_of(present), patch, ResourceCreate))
        changed = change(present, form, now_seconds=seconds(self._clock()))
        secret = _shared_secret(form, present=present)
        stored = await self._store.replace(changed, expected_version=present.version, key=self._key(changed, secret))
        await self._done(AuditEvent.RESOURCE_UPDATED, actor, stored, fields=sorted(patch))
        return stored, secret

    async def delete(self, actor: Actor, resource_id: str, *, expected_version: int | None = None) -> None:
        """Delete the resource, its templates and its keys; raise Conflict for the built-in one."""
        actor.require(AdminScope.RESOURCES_WRITE)
        present = await self._present(actor, resource_id, expected_version)
        _refuse_built_in(present)
        await self._store.remove(resource_id, expected_version=expected_version)
        await self._done(AuditEvent.RESOURCE_DELETED, actor, present)

    async def _present(self, actor: Actor, resource_id: str, expected_version: int | None = None) -> Resource:
        for resource in await self._store.all():
            if resource.resource_id == resource_id and resource.workspace_id == actor.workspace_id:
                if expected_version not in {None, resource.version}:
                    raise PreconditionFailed
                return resource
        raise NotFound(f"no resource {resource_id!r}")

    async def _checked(self, actor: Actor, document: Mapping[str, Json]) -> ResourceCreate:
        """Validate: the one place, for a create, an update and the command line. Raises ValidationFailed."""
        form = validated(ResourceCreate, document)
        problems = []
        if form.access_token_ttl_seconds is not None and form.access_token_ttl_seconds > self._max_ttl_seconds:
            problems.append(
                FieldProblem("access_token_ttl_seconds", f"is more than this server's {self._max_ttl_seconds}")
            )
        for position, client_id in enumerate(form.resource_servers):
            client = await self._clients.get(client_id) if client_id.isprintable() else None
            if client is None or client.workspace_id != actor.workspace_id:
                problems.append(FieldProblem(f"resource_servers.{position}", NO_CLIENT))
        if problems:
            raise ValidationFailed(*problems)
        return form

    def _key(self, resource: Resource, secret: str | None) -> SigningKey | None:
        if secret is None:
            return None
        return self._keys.shared_key(
            workspace_id=resource.workspace_id, resource_id=resource.resource_id, secret=secret.encode()
        )

    async def _done(self, event: AuditEvent, actor: Actor, resource: Resource, **fields: object) -> None:
        self._audit.record(
            event,
            actor=actor.name,
            workspace_id=resource.workspace_id,
            resource_id=resource.resource_id,
            identifier=resource.identifier,
            **fields,
        )
        await self._settle()


def _refuse_built_in(resource: Resource) -> None:
    if resource.built_in:
        raise Conflict("The built-in resource of the management API cannot be changed.")


def _shared_secret(form: ResourceCreate, *, present: Resource | None) -> str | None:
    """Return the secret to store: the one given, or a new one when the resource turns to HS256.

    One that is given ends the former one, and the tokens signed with it, at once.
    """
    if form.signing_alg is not SigningAlg.HS256 or form.hs256_secret is not None:
        return form.hs256_secret
    if present is not None and present.signing_alg is SigningAlg.HS256:
        return None
    return generate_secret(SHARED_SECRET_PREFIX)
