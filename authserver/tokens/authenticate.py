"""Client authentication as every endpoint does it: one door, with its audit (RFC 6749 §2.3)."""

from __future__ import annotations

from authserver.audit.events import AuditEvent
from authserver.clients.authentication import Authenticated, ClientAuthenticator
from authserver.clients.usage import SecretUsage
from authserver.core.clock import Clock, seconds
from authserver.core.credentials import Credentials
from authserver.core.errors import InvalidClient
from authserver.core.ports import AuditSink


class ClientDoor:
    """Authenticates clients, notes the use of their secrets and records every refusal."""

    def __init__(
        self, *, authenticator: ClientAuthenticator, usage: SecretUsage, audit: AuditSink, clock: Clock
    ) -> None:
        """Authenticate by `authenticator`."""
        self._authenticator = authenticator
        self._usage = usage
        self._audit = audit
        self._clock = clock

    async def admit(self, presented: Credentials) -> Authenticated:
        """Return the authenticated client; raise what `ClientAuthenticator.authenticate` raises."""
        try:
            authenticated = await self._authenticator.authenticate(presented)
        except InvalidClient as refusal:
            self._audit.record(AuditEvent.AUTHENTICATION_REFUSED, client_id=presented.client_id, reason=refusal.reason)
            raise
        self._usage.note(authenticated.credential_id, seconds(self._clock()))
        if authenticated.old_secret and not authenticated.remembered:
            self._audit.record(
                AuditEvent.OLD_SECRET_USED,
                client_id=presented.client_id,
                credential_id=authenticated.credential_id,
            )
        return authenticated
