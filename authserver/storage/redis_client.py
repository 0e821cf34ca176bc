"""A connection to Redis that never waits long: short time limits, no retries, and a circuit breaker.

redis-py's own defaults take a minute to give up on a server that hangs, and send commands again whose reply was lost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
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
OPEN_SECONDS = 1.0
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
        raise ConfigurationError("AUTHSERVER_REDIS_URL is no URL that can be understood.") from None


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
    return RedisCluster.from_url(plain, cluster_error_retry_attempts=0, **_options())


class Breaker:
    """Runs commands within a time limit; after one that failed it refuses all for a second, then tries again."""

    def __init__(self, *, name: str) -> None:
        """Report opening and closing under `name`."""
        self._name = name
        self._open_until = 0.0
        self._failing = False
        self._log = structlog.get_logger()

    async def call(self, command: Callable[[], Awaitable[_T]]) -> _T:
        """Return the command's reply; raise TemporarilyUnavailable, at once while the circuit is open."""
        if time.monotonic() < self._open_until:
            raise TemporarilyUnavailable(f"{self._name}: away, not asked again yet")
        try:
            async with asyncio.timeout(COMMAND_SECONDS + CONNECT_SECONDS / 4):
                reply = await command()
        except _FAILURES as error:
            self._open_until = time.monotonic() + OPEN_SECONDS
            if not self._failing:
                self._log.error(f"{self._name}.unavailable", kind=type(error).__name__)
            self._failing = True
            raise TemporarilyUnavailable(f"{self._name}: {type(error).__name__}") from None
        if self._failing:
            self._failing = False
            self._log.info(f"{self._name}.back")
        return reply
