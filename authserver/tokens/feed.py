"""The revocation feed: what verifiers that check tokens by themselves must know, kept up to date by long-polling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from authserver.core.clock import Clock
from authserver.core.credentials import Credentials
from authserver.core.errors import AccessDenied
from authserver.core.ports import CompletenessGate
from authserver.core.revocation import Revocation
from authserver.resources.catalog import ResourceCatalog
from authserver.revocation.service import RevocationService
from authserver.tokens.authenticate import ClientDoor

PAGE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """One answer of the feed.

    `snapshot`: forget what you had, this is the beginning of everything. `more`: ask again at once. The reader
    knows every revocation acknowledged until `as_of_ms` once it has read all that was not there before.
    """

    position: int
    as_of_ms: int
    snapshot: bool
    more: bool
    entries: Sequence[Revocation]


class RevocationFeed:
    """Serves the feed to the resource servers of a workspace."""

    def __init__(
        self,
        *,
        door: ClientDoor,
        resources: ResourceCatalog,
        revocations: RevocationService,
        gate: CompletenessGate,
        clock: Clock,
    ) -> None:
        """Serve `revocations` as long as they are complete, as introspection does."""
        self._door = door
        self._resources = resources
        self._revocations = revocations
        self._gate = gate
        self._clock = clock

    async def read(self, credentials: Credentials, *, after: int | None, wait_seconds: int) -> FeedPage:
        """Return what came after `after`, waiting up to `wait_seconds` for something; None starts from nothing.

        Raises InvalidClient, AccessDenied for a client that serves no resource, TemporarilyUnavailable.
        """
        caller = (await self._door.admit(credentials)).client
        served = [r for r in self._resources.all() if caller.client_id in r.resource_servers]
        if not any(resource.workspace_id == caller.workspace_id for resource in served):
            raise AccessDenied("the client is no resource server")
        if after is not None and after == self._revocations.position and wait_seconds:
            await self._revocations.news.wait(wait_seconds)
        as_of_ms = self._clock()
        await self._gate.require_complete()
        page = await self._page(after, as_of_ms)
        own = [entry for entry in page.entries if entry.workspace_id == caller.workspace_id]
        return FeedPage(
            position=page.position, as_of_ms=page.as_of_ms, snapshot=page.snapshot, more=page.more, entries=own
        )

    async def _page(self, after: int | None, as_of_ms: int) -> FeedPage:
        """Read from memory what is recent, from the store what is not."""
        snapshot = after is None or after > self._revocations.position
        start = 0 if after is None or snapshot else after
        entries = self._revocations.news.after(start)
        if entries is None:
            entries = await self._revocations.page(after=start, limit=PAGE)
        more = len(entries) > PAGE or (bool(entries) and entries[-1].sequence < self._revocations.position)
        entries = entries[:PAGE]
        position = entries[-1].sequence if entries else max(start, self._revocations.position)
        return FeedPage(position=position, as_of_ms=as_of_ms, snapshot=snapshot, more=more, entries=entries)
