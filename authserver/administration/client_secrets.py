"""Secrets of a client: a rotation starts, both work, then it completes or is cancelled; one can go at once.

The two secrets of a client share a salt, so that an authentication costs one derivation.
"""

from __future__ import annotations

from authserver.administration.actor import Actor
from authserver.administration.client_rules import ClientRules
from authserver.administration.clients import SECRET_PREFIX, new_secret
from authserver.administration.ports import Revoker, Settle
from authserver.administration.scopes import AdminScope
from authserver.audit.events import AuditEvent
from authserver.core.client import Client, ClientSecret, SecretState
from authserver.core.clock import Clock, seconds
from authserver.core.errors import Conflict, NotFound
from authserver.core.ports import AuditSink, ClientSecretStore, ClientStore
from authserver.core.revocation import RevocationKind
from authserver.core.secret import SecretHash, generate_secret, new_salt


class SecretAdministration:
    """The verbs for client secrets. Each raises InsufficientScope or NotFound as those for clients do.

    Whoever holds a client's secret is that client: so each verb asks that the actor be no weaker.
    """

    def __init__(
        self,
        *,
        clients: ClientStore,
        secrets: ClientSecretStore,
        rules: ClientRules,
        revoker: Revoker,
        audit: AuditSink,
        clock: Clock,
        settle: Settle,
        unheard_seconds: int,
    ) -> None:
        """Work on `secrets` of `clients`; `revoker` ends the tokens of a secret that is removed at once.

        An instance that cannot reach the database may go on issuing for `unheard_seconds`.
        """
        self._clients = clients
        self._secrets = secrets
        self._rules = rules
        self._revoker = revoker
        self._audit = audit
        self._clock = clock
        self._settle = settle
        self._unheard_seconds = unheard_seconds

    async def start_rotation(self, actor: Actor, client_id: str) -> tuple[ClientSecret, str]:
        """Add a second secret and return it, never to be shown again; raise Conflict during a rotation.

        A client whose secrets were all removed gets its first one back.
        """
        client = await self._mine(actor, client_id)
        states = {secret.state for secret in client.secrets}
        if SecretState.NEXT in states:
            raise Conflict("A rotation is under way: complete or cancel it first.")
        secret = generate_secret(SECRET_PREFIX)
        entry = await new_secret(
            secret,
            _salt_of(client),
            client_id,
            state=SecretState.NEXT if SecretState.ACTIVE in states else SecretState.ACTIVE,
            now_seconds=seconds(self._clock()),
        )
        await self._secrets.start_rotation(entry)
        await self._done(AuditEvent.CLIENT_SECRET_ROTATION_STARTED, actor, client, entry.credential_id)
        return entry, secret

    async def complete_rotation(self, actor: Actor, client_id: str) -> Client:
        """Let the new secret be the only one; raise Conflict when no rotation is under way."""
        client = await self._mine(actor, client_id)
        await self._secrets.complete_rotation(client_id)
        await self._done(AuditEvent.CLIENT_SECRET_ROTATION_COMPLETED, actor, client)
        return await self._stored(actor, client_id)

    async def cancel_rotation(self, actor: Actor, client_id: str) -> Client:
        """Forget the new secret; raise Conflict when no rotation is under way."""
        client = await self._mine(actor, client_id)
        await self._secrets.cancel_rotation(client_id)
        await self._done(AuditEvent.CLIENT_SECRET_ROTATION_CANCELLED, actor, client)
        return await self._stored(actor, client_id)

    async def remove(self, actor: Actor, client_id: str, credential_id: str) -> None:
        """Remove one secret at once, with all tokens that it obtained; raise NotFound."""
        client = await self._mine(actor, client_id)
        if credential_id not in {secret.credential_id for secret in client.secrets}:
            raise NotFound(f"client {client_id!r} has no such secret")
        await self._end_tokens(actor, client, credential_id)
        await self._secrets.remove(client_id, credential_id)
        await self._end_tokens(actor, client, credential_id)
        await self._done(AuditEvent.CLIENT_SECRET_REMOVED, actor, client, credential_id)

    async def _end_tokens(self, actor: Actor, client: Client, credential_id: str) -> None:
        """Write the watermark, before the removal to refuse too much rather than too little, and again after it.

        It lies ahead: the id of a secret never comes back, and an instance that has not heard of its end may still
        issue tokens for it.
        """
        await self._revoker.revoke(
            RevocationKind.CREDENTIAL,
            credential_id,
            workspace_id=client.workspace_id,
            reason="secret removed",
            actor=actor.name,
            ahead_seconds=self._unheard_seconds,
        )

    async def _mine(self, actor: Actor, client_id: str) -> Client:
        """Return the client if the actor may change its secrets."""
        actor.require(AdminScope.CLIENTS_WRITE)
        client = await self._stored(actor, client_id)
        await self._rules.check_grantable(actor, client)
        return client

    async def _stored(self, actor: Actor, client_id: str) -> Client:
        client = await self._clients.get(client_id)
        if client is None or client.workspace_id != actor.workspace_id:
            raise NotFound(f"no client {client_id!r}")
        return client

    async def _done(self, event: AuditEvent, actor: Actor, client: Client, credential_id: str | None = None) -> None:
        fields = {} if credential_id is None else {"credential_id": credential_id}
        self._audit.record(
            event, actor=actor.name, workspace_id=client.workspace_id, client_id=client.client_id, **fields
        )
        await self._settle()


def _salt_of(client: Client) -> bytes:
    """Return the salt of the present secrets; a new one when there is none, or it cannot be read."""
    for secret in client.secrets:
        try:
            return SecretHash.parse(secret.secret_hash).salt
        except ValueError:
            continue  # a damaged hash authenticates nobody; the new secret must work all the same
    return new_salt()
