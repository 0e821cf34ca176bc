"""A connection to Redis that never waits long: short time limits, no retries, and a circuit breaker.

redis-py's own defaults take a minute to give up on a server that hangs, and send commands again whose reply was lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit, urlunsplit

import structlog
from redis import asyncio as redis_asyncio
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from authserver.core.errors import ConfigurationError, TemporarilyUnavailable

COMMAND_SECONDS = 0.15
CONNECT_SECONDS = 0.2
OPEN_SECONDS = 0.5
MAX_CONNECTIONS = 16

_T = TypeVar("_T")
_FAILURES = (RedisError, OSError, TimeoutError, asyncio.IncompleteReadError)


def connect(url: str) -> Any:
    """Return a client for `redis://`, `rediss://`, `unix://`, `redis+sentinel://` or `redis+cluster://`.

    Sentinel: `redis+sentinel://[:password@]host:port[,host:port…]/[db]?service=NAME`. Nothing is connected yet.
    Raises ConfigurationError for anything else, without repeating the URL: it may hold a password.
    """
    scheme = url.partition("://")[0]
    makers: dict[str, Callable[[str], Any]] = {
        "redis": _single,
        "rediss": _single,
        "unix": _single,
        "redis+sentinel": _sentinel,
        "rediss+sentinel": _sentinel,
        "redis+cluster": _cluster,
        "rediss+cluster": _cluster,
    }
    maker = makers.get(scheme)
    if maker is None:
        raise ConfigurationError(f"AUTHSERVER_REDIS_URL: unknown scheme; use one of {', '.join(makers)}.")
    try:
        return maker(url)
    except (ValueError, RedisError):
        raise ConfigurationError("AUTHSERVER_REDIS_URL is not a URL that can be understood.") from None


def _options() -> dict[str, Any]:
    return {
        "socket_timeout": COMMAND_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": MAX_CONNECTIONS,
    }


def _single(url: str) -> Any:
    return redis_asyncio.Redis.from_url(url, **_options())


def _sentinel(url: str) -> Any:
    parts = urlsplit(url)
    service = parse_qs(parts.query).get("service", [""])[0]
    if not service:
        raise ConfigurationError("AUTHSERVER_REDIS_URL: name the Sentinel service, `?service=NAME`.")
    hosts = [_host_and_port(place) for place in parts.netloc.rpartition("@")[2].split(",")]
    secure = {"ssl": True} if parts.scheme.startswith("rediss") else {}
    sentinel = Sentinel(hosts, sentinel_kwargs=_options(), **_options(), **secure)  # type: ignore[no-untyped-call]
    return sentinel.master_for(
        service, username=parts.username, password=parts.password, db=int(parts.path.strip("/") or 0)
    )


def _host_and_port(place: str) -> tuple[str, int]:
    host, _, port = place.rpartition(":")
    return (host, int(port)) if host else (place, 26379)


def _cluster(url: str) -> Any:
    parts = urlsplit(url)
    plain = urlunsplit((parts.scheme.partition("+")[0], *parts[1:]))
    return RedisCluster.from_url(plain, **_options())


class Breaker:
    """Runs commands within a time limit; after one that failed it refuses all and tries one aside, twice a second.

    So nobody waits for a server that hangs but those who were the first to meet it. Commands must be harmless
    when repeated, and when they take effect after their caller was refused.
    """

    def __init__(self, *, name: str) -> None:
        """Report opening and closing under `name`."""
        self._name = name
        self._try_again_at = 0.0
        self._failing = False
        self._trial: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()

    @property
    def is_open(self) -> bool:
        """Tell whether the last command failed: all are refused until one that is tried aside succeeds."""
        return self._failing

    async def call(self, command: Callable[[], Awaitable[_T]]) -> _T:
        """Return the command's reply; raise TemporarilyUnavailable, at once while the circuit is open."""
        if not self._failing:
            return await self._run(command)
        if self._trial is None and time.monotonic() >= self._try_again_at:
            self._trial = asyncio.create_task(self._try(command))
        raise TemporarilyUnavailable(f"{self._name}: away, not waited for")

    async def close(self) -> None:
        """Give up the command that is tried aside, if there is one."""
        if self._trial is not None:
            self._trial.cancel()
            await asyncio.wait([self._trial])

    async def _try(self, command: Callable[[], Awaitable[_T]]) -> None:
        try:
            with suppress(TemporarilyUnavailable):
                await self._run(command)
        finally:
            self._trial = None

    async def _run(self, command: Callable[[], Awaitable[_T]]) -> _T:
        try:
            async with asyncio.timeout(COMMAND_SECONDS + CONNECT_SECONDS / 4):
                reply = await command()
        except _FAILURES as error:
            self._try_again_at = time.monotonic() + OPEN_SECONDS
            if not self._failing:
                self._log.error(f"{self._name}.unavailable", kind=type(error).__name__)
            self._failing = True
            raise TemporarilyUnavailable(f"{self._name}: {type(error).__name__}") from None
        if self._failing:
            self._failing = False
            self._log.info(f"{self._name}.back")
        return reply
