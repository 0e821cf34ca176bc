"""Introspection (RFC 7662): what a token says, for its client and for the resource servers of its audience."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from authserver.audit.events import AuditEvent
from authserver.core.access_token import AccessToken
from authserver.core.credentials import Credentials
from authserver.core.errors import InvalidToken
from authserver.core.json_value import Json
from authserver.core.ports import AuditSink
from authserver.limits.misses import MissBudget
from authserver.resources.catalog import ResourceCatalog
from authserver.tokens.authenticate import ClientDoor
from authserver.tokens.standing import TokenStanding


@dataclass(frozen=True, slots=True)
class Introspection:
    """The answer: `claims` of an active token for a caller who may see them, None for everything else.

    `reason` is for the log alone: all inactive answers look the same from outside.
    """

    caller: str
    claims: Mapping[str, Json] | None
    reason: str = ""


class TokenIntrospector:
    """Answers introspection requests."""

    def __init__(
        self,
        *,
        door: ClientDoor,
        standing: TokenStanding,
        resources: ResourceCatalog,
        misses: MissBudget,
        audit: AuditSink,
    ) -> None:
        """Judge tokens by `standing`, callers by `resources`."""
        self._door = door
        self._standing = standing
        self._resources = resources
        self._misses = misses
        self._audit = audit

    async def introspect(self, credentials: Credentials, token: str) -> Introspection:
        """Return the answer for one token.

        Raises InvalidClient, TooManyRequests for a caller that tries tokens out (RFC 7662 §4), and
        TemporarilyUnavailable when revocations may be missed.
        """
        caller = (await self._door.admit(credentials)).client
        self._misses.require(caller.client_id)
        try:
            access = await self._standing.read(token)
        except InvalidToken as refusal:
            self._misses.count(caller.client_id)
            return Introspection(caller.client_id, None, refusal.reason)
        if caller.workspace_id != access.workspace_id or not self._may_see(caller.client_id, access):
            self._audit.record(AuditEvent.INTROSPECTION_DENIED, client_id=caller.client_id, jti=access.jti)
            return Introspection(caller.client_id, None, "the caller is no resource server of the audience")
        try:
            await self._standing.require_good(access)
        except InvalidToken as refusal:
            return Introspection(caller.client_id, None, refusal.reason)
        return Introspection(caller.client_id, access.claims)

    def _may_see(self, caller_id: str, token: AccessToken) -> bool:
        if caller_id == token.client_id:
            return True
        for audience in token.audience:
            resource = self._resources.by_identifier(token.workspace_id, audience)
            if resource is not None and caller_id in resource.resource_servers:
                return True
        return False
