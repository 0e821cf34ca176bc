"""What keeps a check up to date: the feed followed, keys fetched, within one event loop.

The feed says when the set of keys has changed, so a new key is known before its first token comes. A token that
names a key which is not held may be a stranger's: it leads to one fetch in 30 seconds at most.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from authserver.core.shared_run import SharedRun
from authserver.resource_server.check import TokenCheck
from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.key_set import KeySet, public_keys
from authserver.resource_server.source import Source, SourceFailed

KEYS_SECONDS = 300
MIN_KEYS_SECONDS = 30
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
_REFUSED_PAUSE_SECONDS = 10.0

_log = logging.getLogger("authserver.resource_server")


@dataclass(slots=True)
class Counts:
    """What has happened since the start, for metrics."""

    feed_answers: int = 0
    feed_failures: int = 0
    key_fetches: int = 0
    key_failures: int = 0


class Follower:
    """Follows one authorization server on behalf of one check."""

    def __init__(
        self, check: TokenCheck, source: Source, *, counts: Counts, wait_seconds: int, monotonic: Callable[[], float]
    ) -> None:
        """Keep `check` up to date from `source`; the feed waits `wait_seconds` for news, then says there is none."""
        self._check = check
        self._config: VerifierConfig = check.config
        self._source = source
        self._counts = counts
        self._wait_seconds = wait_seconds
        self._monotonic = monotonic
        self._fetching = SharedRun(self._fetch_keys)
        self._tried_keys_at = float("-inf")
        self._jwks = ""
        self.key_set = b'{"keys":[]}'

    async def learn(self) -> None:
        """Learn keys and revocations once; raise SourceFailed, `refused` when the credentials are not accepted."""
        if self._config.jwks_uri is not None:
            await self._fetching()
        if self._check.follows_revocations:
            await self._read_feed(wait_seconds=0)

    async def follow(self) -> None:
        """Go on learning until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._config.jwks_uri is not None:
                tasks.create_task(self._refresh_keys())
            if self._check.follows_revocations:
                tasks.create_task(self._follow_feed())

    @property
    def has_recent_keys(self) -> bool:
        """Tell whether it is too early to ask for keys again, or there are none to ask for."""
        return self._config.jwks_uri is None or self._monotonic() - self._tried_keys_at < MIN_KEYS_SECONDS

    async def fetch_keys(self) -> None:
        """Fetch the keys for a token that names an unknown one, unless that was done a moment ago."""
        if self.has_recent_keys:
            return
        try:
            await self._fetching()
        except SourceFailed as failure:
            _log.warning("keys cannot be fetched, those that are held stay: %s", failure)

    async def _refresh_keys(self) -> None:
        """Fetch the keys now and then: what is published no more must be forgotten some time."""
        while True:
            await asyncio.sleep(KEYS_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - spreads the load
            try:
                await self._fetching()
            except SourceFailed as failure:
                _log.warning("keys cannot be fetched, those that are held stay: %s", failure)

    async def _fetch_keys(self) -> None:
        self._tried_keys_at = self._monotonic()
        self._counts.key_fetches += 1
        try:
            document = await self._source.key_set(self._config.jwks_uri or "")
            if document is None:
                return
            keys = public_keys(document, self._config.algorithms)
        except (SourceFailed, ValueError) as error:
            self._counts.key_failures += 1
            raise (
                error if isinstance(error, SourceFailed) else SourceFailed(f"the key set cannot be used: {error}")
            ) from None
        self._check.replace_keys(KeySet(keys, algorithms=self._config.algorithms, types=self._config.types))
        self.key_set = document

    async def _follow_feed(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._read_feed(wait_seconds=self._wait_seconds)
                pause = _FIRST_PAUSE_SECONDS
            except SourceFailed as failure:
                self._counts.feed_failures += 1
                level = logging.ERROR if failure.refused else logging.WARNING
                _log.log(level, "the revocation feed is lost, trying again: %s", failure)
                await asyncio.sleep(_REFUSED_PAUSE_SECONDS if failure.refused else pause * random.uniform(0.5, 1))  # noqa: S311
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _read_feed(self, *, wait_seconds: int) -> None:
        """Read until there is nothing more for the moment."""
        copy = self._check.revocations
        more = True
        while more:
            asked_at = self._monotonic()
            page = await self._source.page(self._config, after=copy.cursor, jwks=self._jwks, wait_seconds=wait_seconds)
            try:
                copy.take(page, asked_at=asked_at, now_seconds=int(page.as_of))
            except ValueError:
                raise SourceFailed("the feed holds an entry that cannot be understood") from None
            self._counts.feed_answers += 1
            await self._learn_keys_of(page.jwks)
            more = page.more

    async def _learn_keys_of(self, jwks: str) -> None:
        if jwks != self._jwks and self._config.jwks_uri is not None:
            await self._fetching()
            self._jwks = jwks  # only now: what was not learnt is tried again with the next answer
