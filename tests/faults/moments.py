"""kill -9 at a chosen moment within one request: between two steps that it takes towards the database or Redis.

A proxy holds the message that comes next, or the reply to it, and the instance is killed there. SQLite has no
network: its moment before the database is the wait for the write lock.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from tests.faults.databases import FaultDatabase, SqliteDatabase
from tests.faults.deployment import Deployment
from tests.faults.nursery import Nursery
from tests.faults.proxy import Hold, Proxy, proxy_to
from tests.redis_server import wait_for
from tests.server import Response, RunningServer, free_port

#: The longest time until a request has come to its moment.
HELD_SECONDS = 5.0

DATABASE = "database"
REDIS = "redis"

_BEGIN = b"BEGIN ISOLATION"
_COMMIT = b"COMMIT\0"
_RAISE = b"\r\nEVAL\r\n"
_ANNOUNCE = b"\r\nPUBLISH\r\n"
#: Where the sequence stands in the message that raises the beacon: after script, keys and lengths.
_SEQUENCE = 10

Request = Callable[[RunningServer], Response]


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a request is when its instance is killed.

    `writes` of its transactions have been committed by then. With `replied` the step towards `place` was taken and
    only the instance does not know.
    """

    name: str
    place: str
    pattern: bytes
    writes: int
    nth: int = 1
    replied: bool = False


def before_database(number: int) -> Moment:
    """Return the moment before the `number`-th transaction begins."""
    return Moment(f"before write {number}", DATABASE, _BEGIN, number - 1, nth=number)


def before_commit(number: int) -> Moment:
    """Return the moment when the `number`-th transaction is complete but for its commit."""
    return Moment(f"before commit {number}", DATABASE, _COMMIT, number - 1, nth=number)


def after_commit(number: int) -> Moment:
    """Return the moment when the `number`-th transaction is committed and the instance has not heard of it."""
    return Moment(f"after commit {number}", DATABASE, _COMMIT, number, nth=number, replied=True)


def before_beacon(number: int, *, writes: int) -> Moment:
    """Return the moment between the database and Redis, when the beacon is about to be raised."""
    return Moment(f"before beacon {number}", REDIS, _RAISE, writes, nth=number)


def after_beacon(number: int, *, writes: int) -> Moment:
    """Return the moment when the others were told, by the beacon and its channel, and nothing was answered yet."""
    return Moment(f"after beacon {number}", REDIS, _RAISE, writes, nth=number, replied=True)


def before_announcement(*, writes: int) -> Moment:
    """Return the moment before the others are told to look."""
    return Moment("before announcement", REDIS, _ANNOUNCE, writes)


def after_announcement(*, writes: int) -> Moment:
    """Return the moment when the others were told to look, and nothing was answered yet."""
    return Moment("after announcement", REDIS, _ANNOUNCE, writes, replied=True)


def reaches(database: FaultDatabase, moment: Moment) -> bool:
    """Tell whether a database has the moment: a file has no network, but a lock."""
    return not isinstance(database, SqliteDatabase) or moment.place == REDIS or moment == before_database(1)


class Executioner:
    """Kills instances beside a deployment, each at a chosen moment of a request."""

    def __init__(self, deployment: Deployment, nursery: Nursery) -> None:
        """Start instances with the settings of `deployment`, each with networks of its own."""
        self._d = deployment
        self._nursery = nursery
        self._port = free_port()

    def kill_at(self, moment: Moment, request: Request) -> None:
        """Start an instance, send it the request and kill it at the moment; nothing was answered."""
        d = self._d
        with d.database.network() as to_database, proxy_to(d.redis.port) as to_redis:
            settings = {**d.database.settings(to_database), "AUTHSERVER_REDIS_URL": to_redis.redis_url}
            victim = self._nursery.start(d.a, self._port, **settings)
            server = replace(d.a, port=self._port)
            wait_for(lambda: "degraded" not in server.get("/health/ready").json(), "the instance to use Redis")
            answers: list[Response] = []
            asking = threading.Thread(target=_ask, args=(request, server, answers))
            try:
                with self._reaching(moment, to_database, to_redis, asking):
                    victim.kill()
            finally:
                victim.kill()
            asking.join()
        assert answers == [], f"answered {moment.name}: {answers}"

    def _reaching(
        self, moment: Moment, to_database: Proxy | None, to_redis: Proxy, asking: threading.Thread
    ) -> AbstractContextManager[None]:
        network = to_redis if moment.place == REDIS else to_database
        if network is None:
            return self._locked_out(asking)
        ((newest,),) = self._d.database.rows("SELECT coalesce(max(sequence), 0) FROM revocations")
        wanted = news_after(int(newest)) if moment.pattern == _RAISE else _naming(moment.pattern)
        return _held(network, Hold(wanted, nth=moment.nth, replied=moment.replied), asking)

    @contextlib.contextmanager
    def _locked_out(self, asking: threading.Thread) -> Iterator[None]:
        """Whenever the instance ends within the block, the write did not take place: the lock is ours."""
        assert isinstance(self._d.database, SqliteDatabase)
        with self._d.database.locked():
            asking.start()
            asking.join(0.05)
            yield


def _ask(request: Request, server: RunningServer, answers: list[Response]) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        answers.append(request(server))


@contextlib.contextmanager
def _held(network: Proxy, hold: Hold, asking: threading.Thread) -> Iterator[None]:
    with network.holding(hold):
        asking.start()
        assert hold.held.wait(HELD_SECONDS), "the request did not come to its moment"
        yield


def _naming(pattern: bytes) -> Callable[[bytes], bool]:
    """Return what recognises a message by a part of it."""
    return lambda message: pattern in message


def news_after(newest: int) -> Callable[[bytes], bool]:
    """Return what recognises the beacon being raised to something new, each new sequence once."""
    shown = newest

    def is_news(message: bytes) -> bool:
        nonlocal shown
        words = message.split(b"\r\n")
        raised = [words[at + _SEQUENCE] for at in range(len(words) - _SEQUENCE) if words[at] == b"EVAL"]
        highest = max((int(word) for word in raised if word.isdigit()), default=0)
        if highest <= shown:
            return False
        shown = highest
        return True

    return is_news
