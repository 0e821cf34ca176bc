"""Clients: create, import, read, change and delete (RFC 7591 §2 names; the rules of RFC 6749 §2)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from authserver.administration.actor import Actor
from authserver.administration.client_rules import ClientRules
from authserver.administration.ports import Revoker, Settle
from authserver.administration.scopes import AdminScope
from authserver.administration.validation import merged
from authserver.audit.events import AuditEvent
from authserver.clients.authentication import IMPORTED_SECRETS_STATE
from authserver.clients.registration import ClientCreate, ClientMetadata, change, metadata_of, register
from authserver.core.client import Client, ClientSecret, ClientStatus, SecretState
from authserver.core.clock import Clock, seconds
from authserver.core.errors import NotFound, PreconditionFailed
from authserver.core.identifiers import new_id
from authserver.core.json_value import Json
from authserver.core.ports import AuditSink, ClientStore, Page, StateStore
from authserver.core.revocation import RevocationKind
from authserver.core.secret import SecretHash, generate_secret, hint_of, is_generated, new_salt

SECRET_PREFIX = "cs"


class ClientAdministration:
    """The verbs for clients. Each raises InsufficientScope when the actor may not, NotFound when there is none.

    A document is what the caller wrote, unvalidated: create, import, update and the command line pass the same
    validator here.
    """

    def __init__(
        self,
        *,
        store: ClientStore,
        rules: ClientRules,
        revoker: Revoker,
        state: StateStore,
        audit: AuditSink,
        clock: Clock,
        settle: Settle,
    ) -> None:
        """Work on `store`; `rules` validate, `revoker` ends the tokens of disabled and deleted clients."""
        self._store = store
        self._rules = rules
        self._revoker = revoker
        self._state = state
        self._audit = audit
        self._clock = clock
        self._settle = settle

    async def create(self, actor: Actor, document: Mapping[str, Json]) -> tuple[Client, str]:
        """Register or import a client; return it with its secret, which is never shown again.

        Raises ValidationFailed, or Conflict when the id is taken.
        """
        actor.require(AdminScope.CLIENTS_WRITE)
        form = self._rules.read(ClientCreate, document)
        now = seconds(self._clock())
        client = register(
            form, client_id=form.client_id or new_id("cl"), workspace_id=actor.workspace_id, now_seconds=now
        )
        await self._rules.check_grantable(actor, client)
        self._rules.check_rendered(client)
        secret = form.client_secret or generate_secret(SECRET_PREFIX)
        if not is_generated(secret):  # first: from now on a wrong secret costs the same for every client
            await self._state.put(IMPORTED_SECRETS_STATE, "yes")
        entry = await new_secret(secret, new_salt(), client.client_id, state=SecretState.ACTIVE, now_seconds=now)
        client = replace(client, secrets=(entry,))
        await self._store.add(client)
        await self._done(AuditEvent.CLIENT_CREATED, actor, client, imported=form.client_id is not None)
        return client, secret

    async def get(self, actor: Actor, client_id: str) -> Client:
        """Return one client."""
        actor.require(AdminScope.CLIENTS_READ)
        return await self._present(actor, client_id)

    async def page(self, actor: Actor, *, after: str | None, limit: int) -> Page[Client]:
        """Return up to `limit` clients of the workspace with ids greater than `after`."""
        actor.require(AdminScope.CLIENTS_READ)
        return await self._store.page(actor.workspace_id, after=after, limit=limit)

    async def update(
        self, actor: Actor, client_id: str, patch: Mapping[str, Json], *, expected_version: int | None = None
    ) -> Client:
        """Apply a merge patch (RFC 7396) and return the new state; disabling ends all its tokens for good.

        Raises ValidationFailed, or PreconditionFailed when the version is another than expected.
        """
        actor.require(AdminScope.CLIENTS_WRITE)
        present = await self._present(actor, client_id, expected_version)
        await self._rules.check_grantable(actor, present)
        form = self._rules.read(ClientMetadata, merged(metadata_of(present), patch, ClientMetadata))
        changed = change(present, form, now_seconds=seconds(self._clock()))
        await self._rules.check_grantable(actor, changed)
        self._rules.check_rendered(changed)
        disabling = present.status is ClientStatus.ACTIVE and changed.status is ClientStatus.DISABLED
        if disabling:
            await self._end_tokens(actor, present, "client disabled")
        stored = await self._store.replace(changed, expected_version=present.version)
        if disabling:
            await self._end_tokens(actor, present, "client disabled")
        elif present.status is not changed.status:  # for what others issued that had not heard of the disabling
            await self._end_tokens(actor, present, "client enabled")
        await self._done(AuditEvent.CLIENT_UPDATED, actor, stored, fields=sorted(patch))
        return stored

    async def delete(self, actor: Actor, client_id: str, *, expected_version: int | None = None) -> None:
        """Delete the client and end all its tokens; raise PreconditionFailed as `update` does."""
        actor.require(AdminScope.CLIENTS_WRITE)
        present = await self._present(actor, client_id, expected_version)
        await self._rules.check_grantable(actor, present)
        await self._end_tokens(actor, present, "client deleted")
        await self._store.remove(client_id, expected_version=present.version)
        await self._end_tokens(actor, present, "client deleted")
        await self._done(AuditEvent.CLIENT_DELETED, actor, present)

    async def _present(self, actor: Actor, client_id: str, expected_version: int | None = None) -> Client:
        """Return the stored client if it is of the actor's workspace and, when one is given, of this version."""
        client = await self._store.get(client_id)
        if client is None or client.workspace_id != actor.workspace_id:
            raise NotFound(f"no client {client_id!r}")
        if expected_version is not None and client.version != expected_version:
            raise PreconditionFailed
        return client

    async def _end_tokens(self, actor: Actor, client: Client, reason: str) -> None:
        """Write the watermark, before the change and again after it.

        Before: if the change then fails, too much is refused, never too little. After: for the tokens that were
        issued in between.
        """
        await self._revoker.revoke(
            RevocationKind.CLIENT,
            client.client_id,
            workspace_id=client.workspace_id,
            reason=reason,
            actor=actor.name,
        )

    async def _done(self, event: AuditEvent, actor: Actor, client: Client, **fields: object) -> None:
        self._audit.record(
            event, actor=actor.name, workspace_id=client.workspace_id, client_id=client.client_id, **fields
        )
        await self._settle()


async def new_secret(secret: str, salt: bytes, client_id: str, *, state: SecretState, now_seconds: int) -> ClientSecret:
    """Return what is stored of a new secret; the derivation runs in a thread."""
    digest = await asyncio.to_thread(SecretHash.of, secret, salt)
    return ClientSecret(
        credential_id=new_id("cred"),
        client_id=client_id,
        state=state,
        secret_hash=str(digest),
        secret_hint=hint_of(secret),
        created_at=now_seconds,
    )
