"""Two instances and what happens to them: start, stop, kill, rotation at one moment, both dependencies gone."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests import postgresql
from tests.faults.deployment import ISSUER, Deployment, start_deployment
from tests.faults.load import Caller, Tally, under_load
from tests.redis_server import RedisServer, start_redis, wait_for
from tests.server import API, AUTHSERVER, RunningServer, free_port, header_of, start_from_nothing, start_server

ROTATIONS = 100 if os.environ.get("FAULTS") == "long" else 15
LOST_TOKENS = 20
AWAY_SECONDS = 60 if os.environ.get("FAULTS") == "long" else 0


def states_of(server: RunningServer, alg: str) -> list[str]:
    """Return the states of the keys of one algorithm, in order."""
    response = server.admin("GET", "/signing-keys")
    assert response.status == 200, response.body
    items = response.json()["items"]
    return sorted(str(key["state"]) for key in items if key["alg"] == alg)


def test_rev_14_instance_and_redis_killed_after_200(tmp_path: Path) -> None:
    """REV-14: kill -9 of the instance and of Redis right after the last 200: the other one, and the next, refuse."""
    with start_deployment(tmp_path) as d:
        tokens = [d.a.token(d.client) for _ in range(LOST_TOKENS)]
        for token in tokens:
            assert d.a.revoke(token, d.client).status == 200
        d.a.process.kill()
        d.redis.kill()
        assert [d.is_active(d.b, token) for token in tokens] == [False] * LOST_TOKENS
        d.redis.start()
        assert [d.is_active(d.b, token) for token in tokens] == [False] * LOST_TOKENS
        with start_server(tmp_path, AUTHSERVER_ISSUER=ISSUER, AUTHSERVER_REDIS_URL=d.redis.url) as again:
            assert [d.is_active(again, token) for token in tokens] == [False] * LOST_TOKENS
            assert d.is_active(again, d.live) is True


def test_rds_01_redis_down_at_start(tmp_path: Path) -> None:
    """RDS-01: without Redis an instance starts, says so, enforces revocations, and uses Redis once it is there."""
    with start_redis() as redis:
        redis.stop()
        with start_server(tmp_path, AUTHSERVER_REDIS_URL=redis.url) as server:
            assert server.process.poll() is None
            wait_for(lambda: "degraded" in server.get("/health/ready").json(), "readiness to say so", 2)
            client = server.create_client()
            token = server.token(client)
            assert server.revoke(token, client).status == 200
            assert server.introspect(token, client).json() == {"active": False}
            redis.start()
            wait_for(lambda: server.get("/health/ready").json() == {"status": "ready"}, "Redis to be used", 2)
            assert server.introspect(token, client).json() == {"active": False}


def test_rds_06_a_redis_that_evicts_is_refused(tmp_path: Path) -> None:
    """RDS-06: one clear line and exit 1 before the port opens."""
    with start_redis(maxmemory_policy="allkeys-lru") as redis:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AUTHSERVER_")}
        environment |= {"AUTHSERVER_DATA_DIR": str(tmp_path), "AUTHSERVER_REDIS_URL": redis.url}
        done = subprocess.run(
            [AUTHSERVER, "serve", "--dev", "--port", str(free_port())],
            env=environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 1
    assert "set maxmemory-policy to noeviction" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("fault", ["hung", "dead"])
def test_crash_03_stops_while_redis_is_away(tmp_path: Path, fault: str) -> None:
    """CRASH-03: SIGTERM under load while Redis hangs or is dead: whoever was being answered is, and exit 0."""
    with start_deployment(tmp_path) as d:
        with under_load([d.b], d.client, revoked=d.revoked, live=d.live, issue=False) as tally:
            d.redis.suspend() if fault == "hung" else d.redis.kill()
            time.sleep(0.3)
            d.b.process.send_signal(signal.SIGTERM)
            assert d.b.process.wait(12) == 0
        assert tally.wrong == []
        log = d.b.log()
        assert '"event":"server.stopped"' in log
        assert "Traceback" not in log
        assert d.a.stop() == 0


def test_rot_01_both_rotate_at_once(deployment: Deployment) -> None:
    """ROT-01: ten rotations at one moment on each of two instances make one new key; both then know the same."""
    d = deployment
    d.a.create_resource("https://r.example.com", signing_alg="Ed25519")
    wait_for(lambda: states_of(d.b, "Ed25519") == ["active", "next"], "the other instance to know the keys", 1)
    with ThreadPoolExecutor(20) as pool:
        asked = [
            pool.submit(server.admin, "POST", "/signing-keys/rotate", {"alg": "Ed25519"})
            for _ in range(10)
            for server in (d.a, d.b)
        ]
    assert {one.result().status for one in asked} == {200}
    expected = ["active", "next", "retiring"]
    for server in (d.a, d.b):
        wait_for(lambda server=server: states_of(server, "Ed25519") == expected, "one new key", 1)  # type: ignore[misc]


def test_rot_07_rotations_under_load(tmp_path: Path) -> None:
    """ROT-07: while keys are rotated on both instances, every token verifies by the JWKS of either, and is active."""
    settings = {"AUTHSERVER_KEY_PUBLISH_LEAD_SECONDS": "0", "AUTHSERVER_JWKS_MAX_AGE_SECONDS": "0"}
    with start_deployment(tmp_path, **settings) as d:
        service = JwksReader()
        with under_load([d.a, d.b], d.client, revoked=d.revoked, live=d.live, issue=False) as tally:
            for number in range(ROTATIONS):
                here, there = (d.a, d.b) if number % 2 else (d.b, d.a)
                body = {"alg": "ES256", "force": True}
                assert here.admin("POST", "/signing-keys/rotate", body).status == 200
                token = here.token(d.client)
                service.verify(there, token)
                assert d.is_active(there, token) is True, f"rotation {number}"
        assert tally.wrong == []


class JwksReader:
    """A resource service that fetches the JWKS when it meets a kid that it does not know."""

    def __init__(self) -> None:
        self._keys: dict[str, Any] = {}

    def verify(self, server: RunningServer, token: str) -> None:
        """Verify a token by the keys that `server` publishes."""
        kid = header_of(token)["kid"]
        if kid not in self._keys:
            self._keys = {key["kid"]: key for key in server.get("/.well-known/jwks.json").json()["keys"]}
        jwt.decode(token, jwt.PyJWK(self._keys[kid]), algorithms=["ES256"], audience=API)


def test_p1_changes_reach_the_other_instance(deployment: Deployment) -> None:
    """P1: a disabled client, a rotated secret and a new template are in force on the other instance within 1 s."""
    d = deployment
    one, two = d.a.create_client(), d.a.create_client()
    assert d.b.token_response(one).status == d.b.token_response(two).status == 200
    etag = d.a.admin("GET", f"/clients/{one['client_id']}").headers["etag"]
    path = f"/clients/{one['client_id']}"
    assert d.a.admin("PATCH", path, {"status": "disabled"}, headers={"If-Match": etag}).status == 200
    wait_for(lambda: d.b.token_response(one).status == 401, "the client to be disabled", 1)
    path = f"/clients/{two['client_id']}/secrets"
    fresh = {**two, **d.a.admin("POST", path).json()}
    assert d.a.admin("POST", f"{path}/complete").status < 300
    wait_for(lambda: d.b.token_response(two).status == 401, "the old secret to end", 1)
    assert d.b.token_response({**two, "client_secret": fresh["client_secret"]}).status == 200


def test_race_03_disabled_while_tokens_are_issued(deployment: Deployment) -> None:
    """RACE-03: once both instances know, no token is accepted, nor one that was issued by who did not know yet."""
    d = deployment
    service = d.a.create_client()
    d.a.create_resource("https://race.example.com", resource_servers=[service["client_id"]])
    client = d.a.create_client(audiences=["https://race.example.com"])
    path, tokens = f"/clients/{client['client_id']}", [d.a.token(client), d.b.token(client)]
    d.network_b.silent = True  # it hears of the change by its own next look
    with ThreadPoolExecutor(1) as pool:
        disabling = pool.submit(d.a.admin, "PATCH", path, {"status": "disabled"})
        while (response := d.b.token_response(client)).status == 200:
            tokens.append(response.json()["access_token"])
        assert response.status == 401
        assert disabling.result().status == 200
    d.network_b.heal()
    for server in (d.a, d.b):
        assert not any(server.introspect(token, service).json()["active"] for token in tokens)
    assert d.a.admin("PATCH", path, {"status": "active"}).status == 200
    for server in (d.a, d.b):
        assert not any(server.introspect(token, service).json()["active"] for token in tokens)


def test_mig_02_both_start_on_nothing(tmp_path: Path) -> None:
    """MIG-02, ROT-01: two instances that start at one moment on an empty directory make one database and one key."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        starting = [start_from_nothing(tmp_path, AUTHSERVER_ISSUER=ISSUER) for _ in range(2)]
        a, b = pool.map(stack.enter_context, starting)
        assert states_of(a, "ES256") == states_of(b, "ES256") == ["active", "next"]
        client = a.create_client()
        assert b.introspect(a.token(client), client).json()["active"] is True


@pytest.mark.skipif(postgresql.unavailable() is not None, reason=str(postgresql.unavailable()))
@pytest.mark.parametrize("fault", ["hung", "dead"])
def test_int_10_both_gone(tmp_path: Path, fault: str) -> None:
    """INT-10, P3: Redis and the database gone: 503 about any token, soon; tokens are still issued; all comes back."""
    with postgresql.start_postgresql() as database, start_redis() as redis:
        url = database.url(database.create_database())
        with start_server(tmp_path, AUTHSERVER_DATABASE_URL=url, AUTHSERVER_REDIS_URL=redis.url) as server:
            client = server.create_client()
            revoked, live = server.token(client), server.token(client)
            assert server.revoke(revoked, client).status == 200
            assert server.introspect(live, client).json()["active"] is True
            lose(fault, redis, database)
            tally = Tally()
            with contextlib.closing(Caller(server, client, tally)) as caller:
                told = [caller.introspect(token) for _ in range(10) for token in (revoked, live)]
                assert told == [None] * 20
                assert caller.token() is not None
                assert caller.revoke(live) is False
            assert tally.wrong == []
            first, *later = tally.introspection_seconds  # the first one meets both
            assert first < 1
            assert statistics.median(later) < 0.3
            assert max(later) < 1
            time.sleep(AWAY_SECONDS)
            assert server.process.poll() is None
            bring_back(fault, redis, database)
            wait_for(lambda: server.introspect(live, client).status == 200, "an answer", 3)
            assert server.introspect(revoked, client).json() == {"active": False}


def lose(fault: str, redis: RedisServer, database: postgresql.PostgresqlServer) -> None:
    """Take both away."""
    if fault == "hung":
        redis.suspend()
        database.suspend()
    else:
        redis.kill()
        database.kill()


def bring_back(fault: str, redis: RedisServer, database: postgresql.PostgresqlServer) -> None:
    """Give both back."""
    if fault == "hung":
        redis.resume()
        database.resume()
    else:
        redis.start()
        database.start()


def test_rds_14_the_database_away_and_redis_not(tmp_path: Path) -> None:
    """RDS-14: with the database away a beacon is believed for its lease alone; a revoked token is never active."""
    if postgresql.unavailable() is not None:
        pytest.skip(str(postgresql.unavailable()))
    with postgresql.start_postgresql() as database, start_redis() as redis:
        url = database.url(database.create_database())
        with start_server(tmp_path, AUTHSERVER_DATABASE_URL=url, AUTHSERVER_REDIS_URL=redis.url) as server:
            client = server.create_client()
            revoked, live = server.token(client), server.token(client)
            assert server.revoke(revoked, client).status == 200
            assert server.introspect(live, client).json()["active"] is True
            database.kill()
            assert server.introspect(revoked, client).json().get("active", False) is False
            assert server.revoke(live, client).status == 503
            wait_for(lambda: server.introspect(live, client).status == 503, "it to admit that it cannot know", 2)
            database.start()
            wait_for(lambda: server.revoke(live, client).status == 200, "the database to be used", 3)
            assert server.introspect(live, client).json() == {"active": False}
