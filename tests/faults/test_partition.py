"""A network that falls apart: one instance sees only the database, one only Redis, and a third one both or neither."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pytest

from authserver.core.ports import LEASE_SECONDS
from tests import postgresql
from tests.faults.deployment import HEAD, ISSUER, RECOVERY_SECONDS
from tests.faults.load import EVERYWHERE_SECONDS
from tests.faults.proxy import Proxy, proxy_to
from tests.redis_server import RedisServer, start_redis, wait_for
from tests.server import RunningServer, start_server

pytestmark = pytest.mark.skipif(postgresql.unavailable() is not None, reason=str(postgresql.unavailable()))

#: How long a partition is watched after the acknowledgement: several times as long as anybody may be believed.
WATCHED_SECONDS = 2.0


@dataclass
class Island:
    """An instance and its networks."""

    server: RunningServer
    to_redis: Proxy
    to_database: Proxy

    def lose(self, *networks: str) -> None:
        """Send and hear nothing any more on the `networks`, `redis` and `database`."""
        self.to_redis.silent = "redis" in networks
        self.to_database.silent = "database" in networks

    def heal(self) -> None:
        """Have both networks again."""
        self.to_redis.heal()
        self.to_database.heal()

    def is_whole(self) -> bool:
        """Tell whether it says that it is ready and misses nothing."""
        return bool(self.server.get("/health/ready").json() == {"status": "ready"})


@dataclass
class Archipelago:
    """Instances `a`, `b` and `c` on one PostgreSQL and one Redis, and a client that all of them have in memory."""

    a: Island
    b: Island
    c: Island
    redis: RedisServer

    @cached_property
    def client(self) -> dict[str, Any]:
        """Return the client."""
        return self.a.server.create_client()

    def is_active(self, island: Island, token: str) -> bool | None:
        """Return what an instance says of a token, None for 503."""
        response = island.server.introspect(token, self.client)
        assert response.status in {200, 503}, response.body
        assert response.status == 200 or response.headers["retry-after"]
        return bool(response.json()["active"]) if response.status == 200 else None

    def token(self) -> str:
        """Return a token that every instance has called active."""
        token = self.a.server.token(self.client)
        for island in (self.a, self.b, self.c):
            assert self.is_active(island, token) is True
        return token

    def shown(self) -> int:
        """Return the sequence on the beacon, 0 when there is none."""
        return int(self.redis.command("HGET", HEAD, "sequence") or 0)

    @cached_property
    def live(self) -> str:
        """Return a token that nobody revokes."""
        return self.a.server.token(self.client)

    def heal(self) -> None:
        """End every partition; soon each instance is as before."""
        for island in (self.a, self.b, self.c):
            island.heal()

        def is_whole() -> bool:
            islands = self.a, self.b, self.c
            return all(one.is_whole() and self.is_active(one, self.live) is True for one in islands)

        wait_for(is_whole, "every instance to be ready and to answer", RECOVERY_SECONDS)

    def revoked_at_a(self, token: str) -> float:
        """Revoke a token at `a`; return when that was acknowledged."""
        assert self.a.server.revoke(token, self.client).status == 200
        return time.monotonic()


@pytest.fixture(scope="module")
def _archipelago(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archipelago]:
    directory = tmp_path_factory.mktemp("archipelago")
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(start_redis())
        database = stack.enter_context(postgresql.start_postgresql())
        name = database.create_database()
        islands = []
        for _ in "abc":
            to_redis, to_database = (stack.enter_context(proxy_to(one.port)) for one in (redis, database))
            settings: dict[str, Any] = {
                "AUTHSERVER_ISSUER": ISSUER,
                "AUTHSERVER_REDIS_URL": to_redis.redis_url,
                "AUTHSERVER_DATABASE_URL": replace(database, port=to_database.port).url(name),
            }
            islands.append(Island(stack.enter_context(start_server(directory, **settings)), to_redis, to_database))
        a, b, c = islands
        yield Archipelago(a, b, c, redis)
        for island in islands:
            island.heal()


@pytest.fixture
def archipelago(_archipelago: Archipelago) -> Archipelago:
    """Return three instances that see everything."""
    _archipelago.heal()
    return _archipelago


def watch(archipelago: Archipelago, island: Island, token: str, acknowledged: float) -> set[bool | None]:
    """Return what an instance says of a revoked token once the promised time is over."""
    told = set()
    while (asked := time.monotonic()) - acknowledged < WATCHED_SECONDS:
        answer = archipelago.is_active(island, token)
        if asked - acknowledged > EVERYWHERE_SECONDS:
            told.add(answer)
    return told


@pytest.mark.parametrize("third", [("redis", "database"), ("redis",), ("database",)], ids="+".join)
def test_rds_14_nobody_sees_both(archipelago: Archipelago, third: tuple[str, ...]) -> None:
    """RDS-14, P3: what is revoked without Redis is 503, soon and from then on, where the database is not seen."""
    token = archipelago.token()
    archipelago.b.lose("database")
    archipelago.c.lose(*third)
    archipelago.a.lose("redis")
    acknowledged = archipelago.revoked_at_a(token)
    assert watch(archipelago, archipelago.b, token, acknowledged) == {None}
    assert archipelago.is_active(archipelago.a, token) is False
    assert archipelago.is_active(archipelago.c, token) is (None if "database" in third else False)
    archipelago.heal()
    assert [archipelago.is_active(one, token) for one in (archipelago.a, archipelago.b, archipelago.c)] == [False] * 3


def test_rds_14_one_instance_sees_both(archipelago: Archipelago) -> None:
    """RDS-14: an instance that sees both shows what another one could not, asked or not; no split view remains."""
    token = archipelago.token()
    archipelago.b.lose("database")
    archipelago.a.lose("redis")
    before = archipelago.shown()
    acknowledged = archipelago.revoked_at_a(token)
    wait_for(lambda: archipelago.shown() > before, "the beacon to be raised", EVERYWHERE_SECONDS)
    assert watch(archipelago, archipelago.b, token, acknowledged) == {None}
    assert archipelago.is_active(archipelago.c, token) is False
    archipelago.b.heal()  # alone: `a` is still without Redis
    wait_for(lambda: archipelago.is_active(archipelago.b, token) is False, "the database to be used", RECOVERY_SECONDS)


def test_rds_14_one_instance_keeps_the_others_going(archipelago: Archipelago) -> None:
    """RDS-14: as long as one instance sees both, one that has lost the database goes on answering, rightly."""
    token = archipelago.token()
    archipelago.a.lose("redis", "database")
    archipelago.b.lose("database")
    time.sleep(2 * LEASE_SECONDS)  # what was shown before holds no more
    wait_for(lambda: archipelago.is_active(archipelago.b, token) is True, "an answer", LEASE_SECONDS)
    assert archipelago.c.server.revoke(token, archipelago.client).status == 200
    assert archipelago.is_active(archipelago.b, token) is None
    assert archipelago.is_active(archipelago.c, token) is False


def test_int_10_the_database_away_for_all(archipelago: Archipelago) -> None:
    """INT-10, P3: from inside that looks like a partition, so it is 503 about any token; tokens are still issued."""
    live = archipelago.live
    islands = archipelago.a, archipelago.b, archipelago.c
    for island in islands:
        island.lose("database")
    wait_for(lambda: [archipelago.is_active(one, live) for one in islands] == [None] * 3, "everybody to admit it", 2.0)
    for island in islands:
        assert island.server.token_response(archipelago.client).status == 200
        assert island.server.revoke(live, archipelago.client).status == 503
        assert archipelago.is_active(island, live) is None
    archipelago.heal()
