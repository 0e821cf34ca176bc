"""Revoking: the database first, then the beacon, then this process's index, then the answer (RFC 7009 §2.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from authserver.core.access_token import AccessToken
from authserver.core.clock import MS_PER_SECOND, Clock, seconds
from authserver.core.errors import TemporarilyUnavailable, ValidationFailed
from authserver.core.identifiers import token_id_ms
from authserver.core.ports import LEASE_SECONDS, Beacon, RevocationStore
from authserver.core.revocation import BEGINNING, EVERYTHING, MAX_LEEWAY_SECONDS, Place, Revocation, RevocationKind
from authserver.core.revocation_index import RevocationIndex
from authserver.core.shared_run import SharedRun
from authserver.revocation.news import News

MAX_VALUE_CHARACTERS = 512

#: How long an acknowledgement waits when the beacon is away: what it showed before holds no more by then.
UNTOLD_SECONDS = LEASE_SECONDS


class RevocationService:
    """Writes revocations and answers from memory whether a token is revoked."""

    def __init__(
        self,
        *,
        store: RevocationStore,
        clock: Clock,
        longest_life: Callable[[], Awaitable[int]],
        leeway_seconds: int,
        beacon: Beacon | None = None,
    ) -> None:
        """No token lives longer than `longest_life` returns, in seconds.

        Verifiers take it for `leeway_seconds` more, or for 60.
        """
        self._store = store
        self._beacon = beacon
        self._clock = clock
        self._leeway_seconds = max(leeway_seconds, MAX_LEEWAY_SECONDS)
        self._longest_life = longest_life
        self._index = RevocationIndex()
        self.news = News()
        self._following = SharedRun(self._follow)

    @property
    def position(self) -> int:
        """Return the sequence up to which everything is held in memory."""
        return self.news.position

    async def follow(self) -> None:
        """Take up all that the store had when this was called; many callers at once share the work."""
        await self._following()

    async def _follow(self) -> None:
        if self.position and await self._went_back():
            self.news.forget()
        async for batch in self._store.since(self.position):
            self._index.apply(batch)
            self.news.extend(batch)
            await asyncio.sleep(0)  # a million entries are loaded without stopping the others

    async def _went_back(self) -> bool:
        """Tell whether the database was put back from a backup: the newest, never pruned, is gone or another one.

        A watermark that was moved on has left its place, and something newer is there.
        """
        found = await self._store.page(after=self.position - 1, limit=1)
        return not found or (found[0].sequence == self.position and found[0].place != self.news.place)

    def is_revoked(self, token: AccessToken) -> bool:
        """Tell whether the token was revoked, as far as this process knows."""
        return self._index.is_revoked(token)

    async def revoke_token(self, *, jti: str, expires_at: int, workspace_id: str, actor: str) -> bool:
        """Revoke one token of ours; durable and effective here when the call returns.

        False when it had been revoked before: of many calls at once, only one did it.
        """
        return await self._add(
            Revocation(
                kind=RevocationKind.JTI,
                value=jti,
                workspace_id=workspace_id,
                revoked_at_ms=self._clock(),
                expires_at=expires_at + self._leeway_seconds,
                actor=actor,
            )
        )

    async def revoke(
        self,
        kind: RevocationKind,
        value: str,
        *,
        workspace_id: str,
        reason: str,
        actor: str,
        expires_at: int | None = None,
        ahead_seconds: int = 0,
    ) -> Revocation:
        """Revoke a `jti`, or everything issued up to now that carries `value`; raise ValidationFailed.

        `expires_at` in seconds, None: as long as a token that it refuses could live. When the call returns the
        clock has passed the present moment, so that no later token is caught. `ahead_seconds` is for a value that
        never comes back: it catches as well what others issue so long, who have not heard of its end.
        """
        value = _checked_value(kind, value)
        longest_seconds = await self._longest_life() + self._leeway_seconds if expires_at is None else 0
        now_ms = self._clock()
        issued_seconds = seconds(token_id_ms(value) if kind is RevocationKind.JTI else now_ms)
        entry = Revocation(
            kind=kind,
            value=value,
            workspace_id=workspace_id,
            revoked_at_ms=now_ms + ahead_seconds * MS_PER_SECOND,
            expires_at=issued_seconds + longest_seconds + ahead_seconds if expires_at is None else expires_at,
            reason=reason,
            actor=actor,
        )
        await self._add(entry)
        while self._clock() <= now_ms:  # noqa: ASYNC110 - nobody sets an event when time passes
            await asyncio.sleep(1 / MS_PER_SECOND)
        return entry

    async def confirm(self) -> None:
        """Let no instance miss what is in force here, whoever stored it; raise TemporarilyUnavailable.

        To be called before a revocation is acknowledged that was found here: who stored it may not have told anybody
        yet, or have died before.
        """
        if self._beacon is not None:
            await self.follow()
            await self._tell(self._beacon, self.position)

    async def after(self, place: Place, *, limit: int) -> Sequence[Revocation] | None:
        """Return what came after a place, from memory if it is recent, else up to `limit` entries from the store.

        None when no such place is in the history of this database. Raises TemporarilyUnavailable.
        """
        if place.sequence > self.position or not self.position:
            await self.follow()  # whoever was there has asked an instance that is ahead of this one
        if place == BEGINNING:
            return await self._store.page(after=0, limit=limit)
        entries = self.news.since(place.sequence)
        if entries is None:
            entries = await self._store.page(after=place.sequence - 1, limit=limit + 1)
        if not entries or entries[0].place != place:
            return None
        return entries[1:]

    async def page(self, *, after: int, limit: int) -> Sequence[Revocation]:
        """Return stored entries in their order, up to `limit` after the sequence `after`."""
        return await self._store.page(after=after, limit=limit)

    async def prune(self) -> None:
        """Forget, in memory and in the store, what no living token can match.

        A verifier takes a token for its leeway, by a clock that may be behind by as much: an entry stays that much
        longer, for those that have yet to hear of it.
        """
        await self._longest_life()  # once more, should two instances have written theirs at one moment
        now_seconds = seconds(self._clock()) - MAX_LEEWAY_SECONDS
        self._index.drop_expired(now_seconds)
        await self._store.prune(now_seconds)

    def __len__(self) -> int:
        """Return how many entries are held in memory."""
        return len(self._index)

    async def _add(self, entry: Revocation) -> bool:
        """Store, then obey; tell whether the store knew nothing as strong already."""
        stored = await self._store.add([entry])
        self._index.apply([entry])
        if stored and stored[0].sequence == self.position + 1:
            self.news.extend(stored)
        else:  # others wrote before us, or this very entry
            try:
                await self.follow()
            except TemporarilyUnavailable:
                if not stored:  # where it stands is what the others must be told
                    raise
        if self._beacon is not None:
            await self._tell(self._beacon, max([self.position, *(one.sequence for one in stored)]))
        return bool(stored)

    async def _tell(self, beacon: Beacon, sequence: int) -> None:
        """Let no instance miss what is about to be acknowledged, even one that still sees an old beacon."""
        try:
            await beacon.raise_to(sequence)
        except TemporarilyUnavailable:
            await asyncio.sleep(UNTOLD_SECONDS)


def _checked_value(kind: RevocationKind, value: str) -> str:
    if kind is RevocationKind.ALL:
        return EVERYTHING
    if not value or len(value) > MAX_VALUE_CHARACTERS or not value.isprintable():
        raise ValidationFailed.of("value", f"must name a {kind.value}")
    if kind is RevocationKind.JTI:
        try:
            token_id_ms(value)
        except ValueError:
            raise ValidationFailed.of("value", "must be the jti of a token of this server (a UUID)") from None
    return value.lower() if kind is RevocationKind.JTI else value
