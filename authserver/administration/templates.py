"""Claims templates: saved only when they compile, every version kept, previewed before use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from authserver.administration.actor import Actor
from authserver.administration.ports import Settle
from authserver.administration.rendering import ClaimsPreview
from authserver.administration.scopes import AdminScope
from authserver.audit.events import AuditEvent
from authserver.claims.template import compile_template
from authserver.core.claims_template import StoredTemplate
from authserver.core.client import Client
from authserver.core.clock import Clock, seconds
from authserver.core.errors import (
    FieldProblem,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    ValidationFailed,
)
from authserver.core.json_value import Json
from authserver.core.ports import AuditSink, ClientStore, ResourceStore, TemplateStore

_NO_PARAMETERS: Mapping[str, Json] = {}


class TemplateAdministration:
    """The verbs for claims templates. `resource` is an identifier URI; None names the workspace's own template.

    Each raises InsufficientScope when the actor may not, NotFound for an unknown resource.
    """

    def __init__(
        self,
        *,
        store: TemplateStore,
        resources: ResourceStore,
        clients: ClientStore,
        preview: ClaimsPreview,
        audit: AuditSink,
        clock: Clock,
        settle: Settle,
    ) -> None:
        """Work on `store`; `preview` renders against `clients`."""
        self._store = store
        self._resources = resources
        self._clients = clients
        self._preview = preview
        self._audit = audit
        self._clock = clock
        self._settle = settle

    async def get(self, actor: Actor, resource: str | None = None) -> StoredTemplate:
        """Return the current template of exactly this place; raise NotFound when it has none."""
        newest = next(iter(await self.history(actor, resource)), None)
        if newest is None or newest.source is None:
            raise NotFound("no claims template here")
        return newest

    async def history(self, actor: Actor, resource: str | None = None) -> Sequence[StoredTemplate]:
        """Return all versions, newest first; a version whose source is None removed the template."""
        actor.require(AdminScope.CLAIMS_READ)
        return await self._store.history(actor.workspace_id, await self._resource_id(actor, resource))

    async def save(
        self, actor: Actor, source: str, resource: str | None = None, *, expected_version: int | None = None
    ) -> StoredTemplate:
        """Save a template that compiles as the next version; raise ValidationFailed or PreconditionFailed."""
        actor.require(AdminScope.CLAIMS_WRITE)
        compile_template(source)
        return await self._write(actor, AuditEvent.CLAIMS_TEMPLATE_SAVED, source, resource, expected_version)

    async def restore(self, actor: Actor, version: int, resource: str | None = None) -> StoredTemplate:
        """Save an earlier version anew, as the next one; it must still compile. Raises NotFound."""
        actor.require(AdminScope.CLAIMS_WRITE)
        versions = await self._store.history(actor.workspace_id, await self._resource_id(actor, resource))
        source = next((stored.source for stored in versions if stored.version == version), None)
        if source is None:
            raise NotFound("no such version, or one that removed the template")
        compile_template(source)
        return await self._write(actor, AuditEvent.CLAIMS_TEMPLATE_RESTORED, source, resource, None)

    async def remove(self, actor: Actor, resource: str | None = None, *, expected_version: int | None = None) -> None:
        """Remove the template; its versions stay and can be restored. Raises NotFound or PreconditionFailed."""
        actor.require(AdminScope.CLAIMS_WRITE)
        await self._write(actor, AuditEvent.CLAIMS_TEMPLATE_REMOVED, None, resource, expected_version)

    async def preview(
        self,
        actor: Actor,
        client_id: str,
        *,
        source: str | None = None,
        resource: str | None = None,
        sent: Mapping[str, Json] = _NO_PARAMETERS,
    ) -> dict[str, Json]:
        """Return the claims that a token of the client would get, without issuing one.

        `source` None takes the template in force. `sent` are the values of `request.*`. Raises
        ValidationFailed when the template does not compile or the token could not be issued.
        """
        actor.require(AdminScope.CLAIMS_READ)
        client = await self._client(actor, client_id)
        try:
            if source is not None:
                template = compile_template(source)
            elif (template := self._preview.in_force(actor.workspace_id, resource)) is None:  # type: ignore[assignment]
                return {}
            return self._preview.claims(template, client, resource, sent)
        except InvalidRequest as error:
            raise ValidationFailed(FieldProblem("template", error.reason)) from None

    async def _write(
        self,
        actor: Actor,
        event: AuditEvent,
        source: str | None,
        resource: str | None,
        expected_version: int | None,
    ) -> StoredTemplate:
        resource_id = await self._resource_id(actor, resource)
        newest = next(iter(await self._store.history(actor.workspace_id, resource_id)), None)
        version = newest.version if newest else 0
        if expected_version not in {None, version}:
            raise PreconditionFailed
        if source is None and (newest is None or newest.source is None):
            raise NotFound("no claims template here")
        template = StoredTemplate(
            workspace_id=actor.workspace_id,
            resource_id=resource_id,
            version=version + 1,
            source=source,
            created_at=seconds(self._clock()),
        )
        await self._store.save(template)
        self._audit.record(
            event, actor=actor.name, workspace_id=actor.workspace_id, resource=resource, version=template.version
        )
        await self._settle()
        return template

    async def _resource_id(self, actor: Actor, identifier: str | None) -> str | None:
        if identifier is None:
            return None
        for resource in await self._resources.all():
            if resource.identifier == identifier and resource.workspace_id == actor.workspace_id:
                return resource.resource_id
        raise NotFound(f"no resource {identifier!r}; see `authserver resources list`")

    async def _client(self, actor: Actor, client_id: str) -> Client:
        client = await self._clients.get(client_id)
        if client is None or client.workspace_id != actor.workspace_id:
            raise NotFound(f"no client {client_id!r}")
        return client
