"""What keeps the keys of a check up to date, within one event loop.

A token that names a key which is not held may be a stranger's: it leads to one fetch in 30 seconds at most.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from authserver.core.errors import ConfigurationError
from authserver.core.shared_run import SharedRun
from authserver.resource_server.check import TokenCheck
from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.key_set import KeySet
from authserver.resource_server.source import Source, SourceFailed

KEYS_SECONDS = 300
MIN_KEYS_SECONDS = 30

_log = logging.getLogger("authserver.resource_server")


@dataclass(slots=True)
class Counts:
    """What has happened since the start, for metrics."""

    feed_answers: int = 0
    feed_failures: int = 0
    key_fetches: int = 0
    key_failures: int = 0


class KeyFollower:
    """Fetches the keys of one check: the JWK Set, or the configuration again for the secrets of an HS256 resource."""

    def __init__(
        self,
        check: TokenCheck,
        source: Source,
        *,
        config_url: str | None,
        counts: Counts,
        monotonic: Callable[[], float],
    ) -> None:
        """Keep the keys of `check` up to date. `config_url` is where its configuration came from, if from there.

        `has_failed`: they could not be had the last time.
        """
        self.document = b'{"keys":[]}'
        self.is_published = check.config.jwks_uri is not None
        self.has_failed = False
        self._check = check
        self._config: VerifierConfig = check.config
        self._source = source
        self._config_url = config_url
        self._counts = counts
        self._monotonic = monotonic
        self._etag = ""
        self._is_known = False
        self._fetching = SharedRun(self._fetch)
        self._under_way: asyncio.Future[None] | None = None
        self._tried_at = float("-inf")

    async def fetch_once(self) -> None:
        """Fetch the JWK Set unless it was fetched before or there is none; raise SourceFailed."""
        if self.is_published and not self._is_known:
            await self._fetching()

    async def fetch(self) -> None:
        """Fetch the keys as they are published from now on; raise SourceFailed."""
        await self._fetching()

    def are_those_of(self, digest: str) -> bool:
        """Tell whether the JWK Set is the one that the feed names: the first hex digits of its SHA-256."""
        return sha256(self.document).hexdigest().startswith(digest)

    @property
    def may_ask(self) -> bool:
        """Tell whether to ask for keys, or to join those who ask: there is somebody to ask, and it is not too early."""
        if not self.is_published and self._config_url is None:
            return False
        return self._under_way is not None or self._monotonic() - self._tried_at >= MIN_KEYS_SECONDS

    async def fetch_if_due(self) -> None:
        """Fetch the keys for a token that names an unknown one, unless that was done a moment ago."""
        if self._under_way is not None:
            await asyncio.shield(self._under_way)
        elif self.may_ask:
            await self._try()

    async def refresh(self) -> None:
        """Fetch the JWK Set now and then until cancelled: what is published no more must be forgotten some time."""
        while True:
            await asyncio.sleep(KEYS_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - spreads the load
            await self._try()

    async def _try(self) -> None:
        try:
            await self._fetching()
        except SourceFailed as failure:
            _log.warning("keys cannot be fetched, those that are held stay: %s", failure)

    async def _fetch(self) -> None:
        self._tried_at = self._monotonic()
        self._under_way = asyncio.get_running_loop().create_future()
        self._counts.key_fetches += 1
        try:
            await (self._fetch_key_set() if self.is_published else self._fetch_secrets())
            self.has_failed = False
        except SourceFailed:
            self.has_failed = True
            self._counts.key_failures += 1
            raise
        finally:
            self._under_way.set_result(None)
            self._under_way = None

    async def _fetch_key_set(self) -> None:
        fetched = await self._source.key_set(self._config.jwks_uri or "", etag=self._etag)
        if fetched is None:
            return
        try:
            keys = KeySet.published(fetched.body, self._config)
        except ValueError as error:
            raise SourceFailed(f"the key set cannot be used: {error}") from None
        self._check.replace_keys(keys)
        self.document, self._etag = fetched  # only now: one that could not be used is asked for again
        self._is_known = True

    async def _fetch_secrets(self) -> None:
        try:
            config = await self._source.configuration(self._config_url or "")
        except ConfigurationError as error:
            raise SourceFailed(str(error)) from None
        if _judged_by(config) != _judged_by(self._config):
            raise SourceFailed("the configuration is another one now; it counts from the next start")
        self._check.replace_keys(KeySet.shared(config))


def _judged_by(config: VerifierConfig) -> object:
    return config.issuer, config.audience, config.workspace_id, config.algorithms, config.types
