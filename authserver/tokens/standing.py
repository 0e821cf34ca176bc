"""Whether a token of ours holds now: time, revocation, and the client behind it, judged on every call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from authserver.clients.directory import ClientDirectory
from authserver.core.access_token import AccessToken
from authserver.core.client import Client, ClientStatus
from authserver.core.clock import Clock, seconds
from authserver.core.errors import InvalidToken
from authserver.core.identifiers import ADMIN_RESOURCE
from authserver.core.ports import CompletenessGate
from authserver.core.scope import parse_scope
from authserver.keys.errors import NotHeardOf
from authserver.keys.ring import KeyRing
from authserver.revocation.service import RevocationService


class TokenStanding:
    """Tells good tokens from all others, or that it cannot know."""

    def __init__(
        self,
        *,
        keys: KeyRing,
        revocations: RevocationService,
        directory: ClientDirectory,
        gate: CompletenessGate,
        look: Callable[[], Awaitable[None]],
        clock: Clock,
        leeway_seconds: int,
    ) -> None:
        """Answer as long as `gate` says that the knowledge of revocations is good enough.

        `look` learns what other instances have written; it raises TemporarilyUnavailable. Another instance's clock
        may be ahead of ours by `leeway_seconds`; nothing is added to `exp`.
        """
        self._keys = keys
        self._revocations = revocations
        self._directory = directory
        self._gate = gate
        self._look = look
        self._clock = clock
        self._leeway_seconds = leeway_seconds

    async def read(self, token: str) -> AccessToken:
        """Return the token if it is of our making; time and revocation are not judged.

        Raises InvalidToken, or TemporarilyUnavailable when its key may be one that we have not heard of yet.
        """
        try:
            return self._keys.verify(token)
        except NotHeardOf:
            await self._look()
        return self._keys.verify(token)

    async def require_good(self, token: AccessToken) -> Client:
        """Return the client behind a token that holds now.

        Raises InvalidToken with the reason, or TemporarilyUnavailable when revocations may be missed.
        """
        now = seconds(self._clock())
        if not token.not_before - self._leeway_seconds <= now < token.expires_at:
            raise InvalidToken("the token has expired, or is not yet valid")
        await self._gate.require_complete()
        if self._revocations.is_revoked(token):
            raise InvalidToken("the token was revoked")
        client = self._directory.held(token.client_id) or await self._directory.load(token.client_id)
        if client is None or client.status is not ClientStatus.ACTIVE:
            raise InvalidToken("the client of the token is disabled or gone")
        return client


class AdminTokenCheck:
    """Judges access tokens of our own that are presented to the management API (RFC 6750)."""

    def __init__(self, *, standing: TokenStanding) -> None:
        """Judge by `standing`."""
        self._standing = standing

    async def __call__(self, token: str) -> tuple[frozenset[str], Client]:
        """Return scopes and client of a good token for the management API; raise InvalidToken for any other."""
        access = await self._standing.read(token)
        if access.audience != (ADMIN_RESOURCE,):
            raise InvalidToken("the token is for another audience")
        client = await self._standing.require_good(access)
        return frozenset(parse_scope(access.scope)), client
