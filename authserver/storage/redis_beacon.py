"""The beacon in Redis: one small hash that shows how far the revocations have come, and a channel.

Redis holds no revocation, so it can lose none: every instance has them all in memory, from the database. What
Redis adds is that an instance knows, within one command, whether its memory is complete. The hash is made anew
with a fresh epoch whenever it is missing: a Redis that was flushed, restarted empty or replaced is recognised.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from authserver.core.errors import ConfigurationError, TemporarilyUnavailable
from authserver.core.ports import Mark
from authserver.core.shared_run import SharedRun
from authserver.storage.redis_client import Breaker, connect

#: One typed prefix for everything that this server keeps in Redis; the braces keep it in one slot of a cluster.
_HEAD = "{authserver}:revocations:head"
_CHANNEL = "{authserver}:changes"

_POLICY = "noeviction"
_RECONNECT_SECONDS = 0.5
_LISTEN_SECONDS = 1.0

#: Keeps the greater sequence, gives a new hash its epoch, tells the listeners. Harmless when sent twice.
_RAISE = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  epoch = ARGV[2]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'sequence', ARGV[1])
elseif tonumber(redis.call('HGET', KEYS[1], 'sequence') or '0') < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'sequence', ARGV[1])
end
redis.call('PUBLISH', KEYS[2], ARGV[1])
return {epoch, redis.call('HGET', KEYS[1], 'sequence')}
"""


class RedisBeacon:
    """A beacon that all instances with the same Redis share."""

    def __init__(self, *, url: str) -> None:
        """Connect on first use; raise ConfigurationError for a URL that cannot be understood."""
        self._redis: Any = connect(url)
        self._breaker = Breaker(name="redis")
        self._wanted = 0
        self._raised = Mark("", 0)
        self._raising = SharedRun(self._raise)
        self._announcing = SharedRun(self._announce)

    async def read(self) -> Mark | None:
        """Return what it shows, None when it was emptied; raise TemporarilyUnavailable."""
        reply = await self._breaker.call(lambda: self._redis.hmget(_HEAD, ["epoch", "sequence"]))
        return _mark(reply)

    async def raise_to(self, sequence: int) -> Mark:
        """Let it show at least `sequence` and tell the listeners; raise TemporarilyUnavailable.

        Many calls at once share one command, whatever their number.
        """
        self._wanted = max(self._wanted, sequence)
        await self._raising()
        return self._raised

    async def _raise(self) -> None:
        wanted, self._wanted = self._wanted, 0
        fresh_epoch = secrets.token_hex(8)
        reply = await self._breaker.call(lambda: self._redis.eval(_RAISE, 2, _HEAD, _CHANNEL, str(wanted), fresh_epoch))
        mark = _mark(reply)
        if mark is None:
            raise TemporarilyUnavailable("redis: an answer that makes no sense")
        self._raised = mark

    async def announce(self) -> None:
        """Tell the listeners; many calls at once share one command. Raises TemporarilyUnavailable."""
        await self._announcing()

    async def _announce(self) -> None:
        await self._breaker.call(lambda: self._redis.publish(_CHANNEL, ""))

    async def heard(self) -> AsyncIterator[None]:
        """Yield for each announcement, and after each lost connection."""
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await pubsub.subscribe(_CHANNEL)
                    yield  # whatever was said before, we did not hear
                    while True:
                        message = await pubsub.get_message(timeout=_LISTEN_SECONDS)
                        if message is not None:
                            yield
                        else:
                            await self._look()
            except Exception:  # noqa: BLE001 - of a cluster that it has not met yet the client raises KeyError and others
                await self._look()
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def check_policy(self) -> None:
        """Raise ConfigurationError for a Redis that may evict what it holds; one that does not say is believed."""
        try:
            reply = await self._breaker.call(lambda: self._redis.config_get("maxmemory-policy"))
        except TemporarilyUnavailable:
            return  # away or not telling: the server starts without it and says so
        policies = {_text(value) for value in reply.values()}
        if policies - {_POLICY}:
            raise ConfigurationError(
                f"AUTHSERVER_REDIS_URL: this Redis evicts keys (maxmemory-policy {', '.join(sorted(policies))}); "
                f"set maxmemory-policy to {_POLICY}."
            )

    @property
    def is_up(self) -> bool:
        """Tell whether Redis answered when it was asked last."""
        return not self._breaker.is_open

    async def _look(self) -> None:
        """Ask while nobody else does: whoever asks next need not be the one who finds out."""
        with suppress(TemporarilyUnavailable):
            await self.read()

    async def close(self) -> None:
        """Close all connections."""
        await self._breaker.close()
        await self._redis.aclose()


def _mark(reply: Any) -> Mark | None:
    epoch, sequence = (None if value is None else _text(value) for value in reply)
    if epoch is None or sequence is None:
        return None
    try:
        return Mark(epoch, int(sequence))
    except ValueError:
        raise TemporarilyUnavailable("redis: somebody else wrote our key") from None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
