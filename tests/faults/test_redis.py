"""Redis fails in every way that it can, under load: nothing wrong is said, nothing waits, and it ends by itself."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable

import pytest

from tests.faults.deployment import HEAD, RECOVERY_SECONDS, Deployment
from tests.faults.load import Tally, under_load
from tests.faults.moments import news_after
from tests.faults.proxy import Hold
from tests.redis_server import wait_for
from tests.server import claims_of

#: How long the load goes on with the fault in place.
SECONDS = 10.0 if os.environ.get("FAULTS") == "long" else 0.8

#: A share of the introspections, and how long those take at most: a few seconds of load say little about the rest.
PROMPT, PROMPT_SECONDS = (0.99, 0.3) if os.environ.get("FAULTS") == "long" else (0.5, 0.1)


def kill(d: Deployment) -> None:
    """End Redis by kill -9."""
    d.redis.kill()


def hang(d: Deployment) -> None:
    """Stop Redis with SIGSTOP: connections stay open."""
    d.redis.suspend()


def flush(d: Deployment) -> None:
    """Empty Redis."""
    d.redis.command("FLUSHALL")


def restart_empty(d: Deployment) -> None:
    """Kill Redis and start it at once, without what it held."""
    d.redis.kill()
    d.redis.start()


def make_read_only(d: Deployment) -> None:
    """Make Redis the replica of nobody: READONLY."""
    d.redis.command("REPLICAOF", "127.0.0.1", "1")


def fill(d: Deployment) -> None:
    """Let Redis refuse every write: OOM."""
    d.redis.command("CONFIG", "SET", "maxmemory", "1")


def slow_down(d: Deployment) -> None:
    """Let each reply take 200 ms longer."""
    d.network_a.delay_seconds = d.network_b.delay_seconds = 0.2


def part_a(d: Deployment) -> None:
    """Let instance A send to Redis and hear nothing."""
    d.network_a.silent = True


def part_b(d: Deployment) -> None:
    """Let instance B send to Redis and hear nothing."""
    d.network_b.silent = True


def cut(d: Deployment) -> None:
    """Cut every connection to Redis, pub/sub among them."""
    d.network_a.cut()
    d.network_b.cut()


def spoil_type(d: Deployment) -> None:
    """Put something else at the place of our hash: WRONGTYPE."""
    d.redis.command("SET", HEAD, "somebody else")


def spoil_value(d: Deployment) -> None:
    """Write nonsense into our hash."""
    d.redis.command("HSET", HEAD, "sequence", "many")


def demand_password(d: Deployment) -> None:
    """Demand a password that nobody gives, of those connected too: NOAUTH."""
    d.redis.command("CONFIG", "SET", "requirepass", "secret")
    cut(d)


FAULTS = [
    pytest.param(fault, id=f"{row}-{fault.__name__}")
    for row, fault in (
        ("RDS-02", kill),
        ("RDS-03", hang),
        ("RDS-04", flush),
        ("RDS-04", restart_empty),
        ("RDS-07", fill),
        ("RDS-08", make_read_only),
        ("RDS-08", spoil_type),
        ("RDS-08", spoil_value),
        ("RDS-09", cut),
        ("RDS-10", slow_down),
        ("RDS-14", part_a),
        ("RDS-14", part_b),
    )
]


def struck(d: Deployment, fault: Callable[[Deployment], None], seconds: float = SECONDS) -> Tally:
    """Return what callers were told while the fault came and stayed."""
    with under_load([d.a, d.b], d.client, revoked=d.revoked, live=d.live, seconds=seconds) as tally:
        time.sleep(0.1)
        fault(d)
    return tally


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_wrong_is_said(deployment: Deployment, fault: Callable[[Deployment], None]) -> None:
    """RDS-02 to RDS-14, INT-10: no revoked token is active, no request fails, introspection waits for nobody."""
    tally = struck(deployment, fault)
    assert tally.wrong == []
    assert tally.failed_tokens == 0
    assert set(tally.statuses) == {"introspect 200", "token 200", "revoke 200"}
    assert tally.late == []  # once acknowledged, refused by the other instance's very next answer
    assert tally.percentile(PROMPT) <= PROMPT_SECONDS
    assert deployment.heal() <= RECOVERY_SECONDS


def test_rds_08_no_permission(deployment: Deployment) -> None:
    """RDS-08: a password that is demanded from now on, a command that is forbidden: the database answers."""
    redis = deployment.redis
    try:
        tally = struck(deployment, demand_password)
        redis.password = "secret"
        redis.command("CONFIG", "SET", "requirepass", "")
        redis.password = None
        redis.command("ACL", "SETUSER", "default", "-hmget", "-eval")
        again = struck(deployment, lambda _: None)
    finally:
        redis.command("ACL", "SETUSER", "default", "+@all")
    assert tally.wrong + again.wrong == []
    assert tally.late + again.late == []


def test_rds_09_nothing_heard_for_a_while(deployment: Deployment) -> None:
    """RDS-09: an instance that heard nothing while others revoked knows all of it in its first answer."""
    d = deployment
    d.network_b.silent = True
    tokens = [d.a.token(d.client) for _ in range(30)]
    for token in tokens:
        assert d.a.revoke(token, d.client).status == 200
    d.network_b.heal()
    assert [d.is_active(d.b, token) for token in tokens] == [False] * len(tokens)


def test_rds_04_an_older_copy_with_the_same_epoch(deployment: Deployment) -> None:
    """RDS-04: a Redis restored from a copy shows an old step: the instances know better and put it right."""
    d = deployment
    old = d.redis.command("HGET", HEAD, "sequence") or "0"
    token = d.a.token(d.client)
    assert d.a.revoke(token, d.client).status == 200
    assert d.is_active(d.b, token) is False
    d.redis.command("HSET", HEAD, "sequence", old)
    assert d.is_active(d.b, token) is False
    wait_for(lambda: int(d.redis.command("HGET", HEAD, "sequence") or 0) > int(old), "it to be put right", 2)


def test_rds_04_another_redis(deployment: Deployment) -> None:
    """RDS-04: a Redis that belonged to another deployment, far ahead of ours, hides no revocation."""
    d = deployment
    d.redis.command("HSET", HEAD, "epoch", "theirs", "sequence", "1000000")
    token = d.a.token(d.client)
    assert d.a.revoke(token, d.client).status == 200
    assert d.is_active(d.b, token) is False
    d.redis.command("DEL", HEAD)


def test_rds_13_nobody_chooses_a_key(deployment: Deployment) -> None:
    """RDS-13, LOG-07: whatever is issued and revoked, Redis holds one hash, of an epoch and a number."""
    d = deployment
    odd = d.a.admin("POST", "/revocations", {"kind": "subject", "value": HEAD})
    assert odd.status == 201
    assert d.redis.command("KEYS", "*") == [HEAD]
    held = d.redis.command("HGETALL", HEAD)
    flat = held if isinstance(held, dict) else dict(zip(held[::2], held[1::2], strict=True))
    assert set(flat) == {"epoch", "sequence"}
    assert flat["sequence"].isdecimal()
    assert len(flat["epoch"]) in {0, 16}


def test_rds_12_a_lost_reply(deployment: Deployment) -> None:
    """RDS-12: a step whose reply was lost is acknowledged in time; made again, it has its effect once."""
    d = deployment
    token = d.a.token(d.client)
    ((newest,),) = d.database.rows("SELECT coalesce(max(sequence), 0) FROM revocations")
    with d.network_a.holding(Hold(news_after(int(newest)), replied=True)) as lost:
        assert d.a.revoke(token, d.client).status == 200
        assert lost.held.is_set()
        assert int(d.redis.command("HGET", HEAD, "sequence")) == int(newest) + 1
        assert d.is_active(d.b, token) is False
    assert d.heal() <= RECOVERY_SECONDS
    assert d.a.revoke(token, d.client).status == 200
    entries = d.database.rows(f"SELECT sequence FROM revocations WHERE value = '{claims_of(token)['jti']}'")  # noqa: S608 - a jti
    assert entries == [(str(int(newest) + 1),)]
    log = d.a.log()  # both write to it
    assert len(re.findall(f'"jti":"{claims_of(token)["jti"]}","event":"token.revoked"', log)) == 1


def test_rds_01_readiness_says_so(deployment: Deployment) -> None:
    """RDS-01: without Redis an instance stays ready and says what is missing; with it back, no more."""
    d = deployment

    def degraded() -> bool:
        response = d.a.get("/health/ready")
        assert response.status == 200
        return "Redis" in str(response.json().get("degraded"))

    d.redis.kill()
    wait_for(degraded, "the instance to notice", RECOVERY_SECONDS)
    d.redis.start()
    wait_for(lambda: not degraded(), "the instance to notice", RECOVERY_SECONDS)


def test_rds_10_connections_are_bounded(deployment: Deployment) -> None:
    """RDS-10: a slow Redis does not make an instance open one connection after the other."""
    struck(deployment, slow_down)
    assert int(deployment.redis.command("INFO", "clients")["connected_clients"]) < 20
