"""The revocation feed: what verifiers that check tokens by themselves must know, kept up to date by long-polling.

Each answer also says which JWK Set is published: a verifier hears of a new key before it meets a token of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from math import ceil, floor

from authserver.core.clock import MS_PER_SECOND, Clock
from authserver.core.credentials import Credentials
from authserver.core.errors import AccessDenied
from authserver.core.ports import CompletenessGate
from authserver.core.revocation import BEGINNING, Place, Revocation
from authserver.keys.ring import KeyRing
from authserver.revocation.service import RevocationService
from authserver.tokens.authenticate import ClientDoor
from authserver.tokens.served import ServedResources

PAGE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """One answer of the feed.

    `snapshot`: forget what you had, this is the beginning of everything. `more`: ask again at once. The reader
    knows every revocation acknowledged until `as_of_ms` once it has read all that was not there before: by its own
    clock, until `known_after_ms` after it asked, which is before it asked where that is negative. `jwks` is the digest
    of the JWK Set as it is published now.
    """

    place: Place
    as_of_ms: int
    known_after_ms: int
    snapshot: bool
    more: bool
    entries: Sequence[Revocation]
    jwks: str


class RevocationFeed:
    """Serves the feed to the resource servers of a workspace."""

    def __init__(
        self,
        *,
        door: ClientDoor,
        served: ServedResources,
        revocations: RevocationService,
        keys: KeyRing,
        gate: CompletenessGate,
        clock: Clock,
    ) -> None:
        """Serve `revocations` as long as they are complete, as introspection does, and say which `keys` there are."""
        self._door = door
        self._served = served
        self._revocations = revocations
        self._keys = keys
        self._gate = gate
        self._clock = clock

    async def read(
        self,
        credentials: Credentials,
        *,
        after: Place | None,
        jwks: str | None,
        wait_seconds: int,
        parked: AbstractContextManager[None],
    ) -> FeedPage:
        """Return what came after `after`, waiting up to `wait_seconds` for something; None starts from nothing.

        A place that is in no history of this database starts from nothing too: it was put back from a backup.

        Other published keys end a wait as a revocation does. `jwks` is the digest of the key set that the reader
        has, None when it does not say: the answer does not wait for a reader that has another one than the present.
        The wait is spent within `parked`: a thousand readers that wait must leave room for others' requests.
        Raises InvalidClient, AccessDenied for a client that serves no resource, TemporarilyUnavailable.
        """
        caller = (await self._door.admit(credentials)).client
        if not await self._served.of(caller):
            raise AccessDenied("the client is no resource server")
        is_up_to_date = after == self._revocations.news.place and jwks in {None, self._keys.jwks_digest()}
        waited_seconds = 0.0
        if is_up_to_date and wait_seconds:
            with parked:
                waited_seconds = await self._revocations.news.wait(wait_seconds)
        now_ms = self._clock()
        age_seconds = await self._gate.require_complete()
        page = await self._page(
            after,
            as_of_ms=now_ms - ceil(age_seconds * MS_PER_SECOND),
            known_after_ms=floor((waited_seconds - age_seconds) * MS_PER_SECOND),
        )
        return replace(page, entries=[entry for entry in page.entries if entry.workspace_id == caller.workspace_id])

    async def _page(self, after: Place | None, *, as_of_ms: int, known_after_ms: int) -> FeedPage:
        """Go on from a place, or begin anew where it is in no history of ours."""
        place = after or BEGINNING
        entries = await self._revocations.after(place, limit=PAGE)
        snapshot = after is None or entries is None
        if entries is None:
            place, entries = BEGINNING, await self._revocations.after(BEGINNING, limit=PAGE) or ()
        more = len(entries) > PAGE or (bool(entries) and entries[-1].sequence < self._revocations.position)
        entries = entries[:PAGE]
        return FeedPage(
            place=entries[-1].place if entries else place,
            as_of_ms=as_of_ms,
            known_after_ms=known_after_ms,
            snapshot=snapshot,
            more=more,
            entries=entries,
            jwks=self._keys.jwks_digest(),
        )
