"""The beacon in Redis: one small hash that shows how far the revocations have come, and a channel.

Redis holds no revocation, so it can lose none: every instance has them all in memory, from the database. What
Redis adds is that an instance knows, within one command, whether its memory is complete. The hash is made anew
with a fresh epoch whenever it is missing: a Redis that was flushed, restarted empty or replaced is recognised.
It expires unless an instance that also sees the database says again and again that it is still right.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from authserver.core.clock import MS_PER_SECOND
from authserver.core.errors import ConfigurationError, TemporarilyUnavailable
from authserver.core.ports import LEASE_SECONDS, Mark
from authserver.core.shared_run import SharedRun
from authserver.storage.redis_client import Breaker, connect

#: One typed prefix for everything that this server keeps in Redis; the braces keep it in one slot of a cluster.
_HEAD = "{authserver}:revocations:head"
_CHANNEL = "{authserver}:changes"

_POLICY = "noeviction"
_RECONNECT_SECONDS = 0.5
_LISTEN_SECONDS = 1.0

#: Keeps the greater sequence and tells the listeners of a new one; lights the hash, by an epoch, until the time given.
#: A hash that is made without such a time has an empty epoch: nobody believes it, yet whoever knows less and comes
#: late does not light it. Harmless when sent twice, or late. No hash stays for ever: one without an end gets one, and
#: none is made where that is forbidden to us.
_RAISE = """
local epoch, shown = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'sequence'))
local wanted, lit_until = tonumber(ARGV[1]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local left, ends = redis.call('PTTL', KEYS[1]), nil
if left < 0 then
  left = ARGV[4]
  redis.call('PEXPIREAT', KEYS[1], now + left)
end
epoch, shown = epoch or '', shown or '-1'
if tonumber(shown) > wanted then
  return
end
if now < lit_until and epoch == '' then
  epoch, ends = ARGV[2], lit_until
elseif now < lit_until then
  ends = math.max(lit_until, now + left)
elseif epoch == '' then
  ends = now + ARGV[4]
end
redis.call('HSET', KEYS[1], 'epoch', epoch, 'sequence', ARGV[1])
if ends then
  redis.call('PEXPIREAT', KEYS[1], ends)
end
if tonumber(shown) < wanted then
  redis.call('PUBLISH', KEYS[2], ARGV[1])
end
"""

#: As a script, because a cluster answers a plain TIME from any node.
_TIME = "return redis.call('TIME')"
_LEASE_MS = int(LEASE_SECONDS * MS_PER_SECOND)


class RedisBeacon:
    """A beacon that all instances with the same Redis share."""

    def __init__(self, *, url: str) -> None:
        """Connect on first use; raise ConfigurationError for a URL that cannot be understood."""
        self._redis: Any = connect(url)
        self._breaker = Breaker(name="redis")
        self._write_breaker = Breaker(name="redis.writes")  # a replica, or a full Redis, goes on being read
        self._wanted = 0
        self._lit_until_ms = 0
        self._raising = SharedRun(self._raise)
        self._announcing = SharedRun(self._announce)

    async def read(self) -> Mark | None:
        """Return what it shows, None when it is out or was emptied; raise TemporarilyUnavailable."""
        reply = await self._breaker.call(lambda: self._redis.hmget(_HEAD, ["epoch", "sequence"]))
        return _mark(reply)

    async def time_ms(self) -> int:
        """Return the time by Redis's own clock, in milliseconds; raise TemporarilyUnavailable."""
        seconds, microseconds = await self._breaker.call(lambda: self._redis.eval(_TIME, 1, _HEAD))
        return int(seconds) * MS_PER_SECOND + int(microseconds) // MS_PER_SECOND

    async def raise_to(self, sequence: int, *, seen_after_ms: int | None = None) -> None:
        """Let it show at least `sequence`, tell the listeners if that is news; raise TemporarilyUnavailable.

        It is lit until LEASE_SECONDS after `seen_after_ms`, as `core.ports.Beacon` says. Many calls at once share
        one command, whatever their number: the greatest sequence was seen after all of their times.
        """
        self._wanted = max(self._wanted, sequence)
        if seen_after_ms is not None:
            self._lit_until_ms = max(self._lit_until_ms, seen_after_ms + _LEASE_MS)
        await self._raising()

    async def _raise(self) -> None:
        wanted, self._wanted = self._wanted, 0
        lit_until_ms, self._lit_until_ms = self._lit_until_ms, 0
        given = wanted, secrets.token_hex(8), lit_until_ms, _LEASE_MS
        await self._write_breaker.call(lambda: self._redis.eval(_RAISE, 2, _HEAD, _CHANNEL, *given))

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
        """Tell whether Redis did what was asked of it last."""
        return not (self._breaker.is_open or self._write_breaker.is_open)

    async def _look(self) -> None:
        """Ask while nobody else does: whoever asks next need not be the one who finds out."""
        with suppress(TemporarilyUnavailable):
            await self.read()

    async def close(self) -> None:
        """Close all connections."""
        await self._breaker.close()
        await self._write_breaker.close()
        await self._redis.aclose()


def _mark(reply: Any) -> Mark | None:
    epoch, sequence = (None if value is None else _text(value) for value in reply)
    if not epoch or sequence is None:
        return None
    try:
        return Mark(epoch, int(sequence))
    except ValueError:
        raise TemporarilyUnavailable("redis: somebody else wrote our key") from None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
