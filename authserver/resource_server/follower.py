"""What keeps a check up to date: the feed followed, and keys fetched, within one event loop.

The feed says when the set of keys has changed, so a new key is known before its first token comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from authserver.resource_server.backoff import LONGEST_OBEYED_SECONDS, Backoff
from authserver.resource_server.check import TokenCheck
from authserver.resource_server.key_follower import MIN_KEYS_SECONDS, Counts, KeyFollower
from authserver.resource_server.source import Source, SourceFailed

_KEYS_PAUSE_SECONDS = 0.5
#: The least time between two questions for news when there was none.
_FEED_PAUSE_SECONDS = 0.5
#: After so many fetches of another JWK Set than the feed names, somebody should look at what lies between.
_OTHER_KEYS_TOLD = 20
_OTHER_KEYS = "the JWK Set is not the one that the feed names: is it cached, or rewritten, on its way here?"

_log = logging.getLogger("authserver.resource_server")


class Follower:
    """Follows one authorization server on behalf of one check."""

    def __init__(
        self,
        check: TokenCheck,
        source: Source,
        *,
        config_url: str | None,
        counts: Counts,
        backoff: Backoff,
        wait_seconds: int,
        monotonic: Callable[[], float],
    ) -> None:
        """Keep `check` up to date from `source`; the feed waits `wait_seconds` for news, then says there is none.

        `config_url` is where the configuration came from, None when it was given.
        """
        self.keys = KeyFollower(check, source, config_url=config_url, counts=counts, monotonic=monotonic)
        self._check = check
        self._source = source
        self._counts = counts
        self._backoff = backoff
        self._wait_seconds = wait_seconds
        self._monotonic = monotonic
        self._jwks = ""
        self._named = asyncio.Event()
        self._is_lost = False
        self._is_behind = False

    @property
    def may_miss_a_key(self) -> bool:
        """Tell whether there may be a key that is not held, though keys were fetched a moment ago.

        Nobody has said so, because the feed is lost, or it has and they are being fetched, or could not be.
        """
        return self._is_lost or self._is_behind or self.keys.has_failed

    async def sync_once(self) -> None:
        """Learn keys and revocations once; raise SourceFailed, `refused` when the credentials are not accepted."""
        if self._check.follows_revocations:
            try:
                await self._read_feed(wait_seconds=0)
            except SourceFailed:
                with contextlib.suppress(SourceFailed):
                    await self.keys.fetch_once()
                raise
        await self.keys.fetch_once()

    async def follow(self) -> None:
        """Keep in sync until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self.keys.is_published:
                tasks.create_task(self.keys.refresh())
            if self._check.follows_revocations:
                tasks.create_task(self._follow_feed())
                tasks.create_task(self._follow_keys())
            tasks.create_task(asyncio.Event().wait())  # for ever, also when there is nothing to follow

    async def _follow_feed(self) -> None:
        while True:
            try:
                await self._await_news()
            except SourceFailed as failure:
                await self._find_the_feed(failure)

    async def _await_news(self) -> None:
        """Ask for news once; raise SourceFailed. Something in between may answer at once, again and again."""
        known, asked_at = (self._check.revocations.cursor, self._jwks), self._monotonic()
        await self._read_feed(wait_seconds=self._wait_seconds)
        if known == (self._check.revocations.cursor, self._jwks):
            await asyncio.sleep(asked_at + _FEED_PAUSE_SECONDS - self._monotonic())

    async def _find_the_feed(self, failure: SourceFailed) -> None:
        """Ask the feed until it answers again, without a wait for news: what is known is old already."""
        _log.log(logging.ERROR if failure.refused else logging.WARNING, "the revocation feed is lost: %s", failure)
        is_told = False
        while self._is_lost:
            await asyncio.sleep(self._backoff.after(failure))
            if self._check.knows_too_little() and not is_told:
                is_told = True
                _log.error("what is known of revocations is too old: all tokens are refused with 503")
            try:
                await self._read_feed(wait_seconds=0)
            except SourceFailed as again:
                failure = again
        _log.warning("the revocation feed is back")

    async def _read_feed(self, *, wait_seconds: int) -> None:
        """Read until there is nothing more for the moment; raise SourceFailed."""
        try:
            while await self._read_page(wait_seconds):
                pass
        except SourceFailed:
            self._is_lost = True
            self._counts.feed_failures += 1
            raise
        self._is_lost = False

    async def _read_page(self, wait_seconds: int) -> bool:
        """Read and take up one page; return whether there is more."""
        copy, asked_at = self._check.revocations, self._monotonic()
        page = await self._source.page(
            self._check.config, after=copy.cursor, jwks=self._jwks, wait_seconds=wait_seconds
        )
        try:
            self._check.take(page, asked_at=asked_at)
        except ValueError:
            raise SourceFailed("the feed holds what cannot be understood") from None
        self._counts.feed_answers += 1
        if page.jwks != self._jwks and self.keys.is_published:
            self._jwks = page.jwks
            self._named.set()
        self._backoff.reset()
        return page.more

    async def _follow_keys(self) -> None:
        """Fetch the keys that the feed names, beside it: a key set that cannot be had delays no revocation."""
        while True:
            self._named.clear()
            await self._fetch_named_keys()
            await self._named.wait()

    async def _wait_for_others(self, seconds: float) -> None:
        """Wait until the feed names other keys, at most for `seconds`: those may be the ones that are held already."""
        self._named.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._named.wait()

    async def _fetch_named_keys(self) -> None:
        """Fetch until the keys are those that the feed has named last.

        A server that has not heard of a withdrawn key, or a cache, may still give the set from before.
        """
        backoff, pause, tries = Backoff(longest_obeyed_seconds=LONGEST_OBEYED_SECONDS), 0.0, 0
        while not self.keys.are_those_of(self._jwks):
            self._is_behind = tries < _OTHER_KEYS_TOLD
            if tries == _OTHER_KEYS_TOLD:
                _log.warning(_OTHER_KEYS)
            await self._wait_for_others(pause)
            pause, tries = _KEYS_PAUSE_SECONDS if tries < _OTHER_KEYS_TOLD else MIN_KEYS_SECONDS, tries + 1
            try:
                await self.keys.fetch()
            except SourceFailed as failure:
                pause = max(pause, backoff.after(failure))
                if tries == 1:
                    _log.warning("the keys that the feed names cannot be fetched: %s", failure)
        self._is_behind = False
