"""Revocation of one token by its client (RFC 7009): by `jti`, since a signature can be written in two ways."""

from __future__ import annotations

from authserver.audit.events import AuditEvent
from authserver.core.clock import Clock, seconds
from authserver.core.credentials import Credentials
from authserver.core.errors import InvalidGrant, InvalidToken
from authserver.core.ports import AuditSink
from authserver.revocation.service import RevocationService
from authserver.tokens.authenticate import ClientDoor
from authserver.tokens.standing import TokenStanding


class TokenRevoker:
    """Revokes tokens for the clients that they were issued to."""

    def __init__(
        self,
        *,
        door: ClientDoor,
        standing: TokenStanding,
        revocations: RevocationService,
        audit: AuditSink,
        clock: Clock,
    ) -> None:
        """Write to `revocations`."""
        self._door = door
        self._standing = standing
        self._revocations = revocations
        self._audit = audit
        self._clock = clock

    async def revoke(self, credentials: Credentials, token: str) -> str:
        """Revoke the token and return the caller's id; when it returns, the revocation is durable and in force here.

        A token that is unknown, malformed, foreign or expired needs nothing (RFC 7009 §2.2). Raises
        InvalidClient, InvalidGrant for another client's token (§2.1), TemporarilyUnavailable (§2.2.1).
        """
        caller = (await self._door.admit(credentials)).client
        try:
            access = await self._standing.read(token)
        except InvalidToken:
            return caller.client_id
        if access.client_id != caller.client_id or access.workspace_id != caller.workspace_id:
            self._audit.record(
                AuditEvent.TOKEN_REVOCATION_DENIED, client_id=caller.client_id, owner=access.client_id, jti=access.jti
            )
            raise InvalidGrant("the token belongs to another client")
        if access.expires_at <= seconds(self._clock()):
            return caller.client_id
        if self._revocations.is_revoked(access):
            await self._revocations.confirm()
            return caller.client_id
        newly = await self._revocations.revoke_token(
            jti=access.jti,
            expires_at=access.expires_at,
            workspace_id=access.workspace_id,
            actor=f"client:{caller.client_id}",
        )
        if newly:
            self._audit.record(AuditEvent.TOKEN_REVOKED, client_id=caller.client_id, jti=access.jti)
        return caller.client_id
