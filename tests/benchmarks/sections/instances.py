"""Several instances over one Redis and one database: what consistency costs, how fast a revocation is everywhere."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from statistics import median, quantiles
from urllib.parse import urlencode

from tests import postgresql, redis_server
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Finding, Results, at_most, compare_rates, compare_shares
from tests.benchmarks.peer_servers import PEER_CLIENT
from tests.benchmarks.processes import LOOPBACK, free_port
from tests.benchmarks.progress import say
from tests.benchmarks.rounds import Contestant, alternate, steady
from tests.benchmarks.server import FORM, Client, Connection, Server

SECTION = "instances"

_ALONE_PERCENT = 90
_REFUSED_MS = 100
_TARGETS = {"node-oidc-provider": 1.8, "@jmondi/oauth2-server": 1.0}


def measure(bench: Bench) -> Results:
    """Measure two instances on PostgreSQL and Redis against one on SQLite, and against the peers."""
    missing = redis_server.unavailable() or postgresql.unavailable()
    if missing:
        return Results(findings=[Finding(section=SECTION, claim="several instances", measured=missing)])
    with ExitStack() as stack:
        shared = stack.enter_context(_shared_settings())
        first, client = stack.enter_context(bench.own_server("instance-a", settings=shared))
        issuer = {**shared, "AUTHSERVER_ISSUER": f"http://{LOOPBACK}:{first.port}"}
        issuer["AUTHSERVER_SECRET_KEY_FILE"] = str(bench.folder / "instance-a" / "secret-key")
        second, _ = stack.enter_context(bench.own_server("instance-b", port=free_port(), settings=issuer))
        spread = _spread(bench, first, second, client)
    return Results(*_rates(bench, spread))


def _spread(bench: Bench, first: Server, second: Server, client: Client) -> list[Finding]:
    """Revoke on one instance, introspect on the other until it refuses; return the times after the 200."""
    count = bench.options.revoked_elsewhere
    say(f"{SECTION}: revoking {count:,} tokens on one instance, asking the other")
    tokens = bench.generator.mint(first, client, count)[:count]
    milliseconds, missed = [], 0
    with Connection(first.port) as revoking, Connection(second.port) as asking:
        for token in tokens:
            body = urlencode({"token": token})
            revoking.post("/oauth2/revoke", client.basic(), FORM, body)
            acknowledged = time.perf_counter()
            while asking.post(second.introspection_path, client.basic(), FORM, body)["active"]:
                missed += 1
            milliseconds.append((time.perf_counter() - acknowledged) * 1_000)
    p99 = quantiles(milliseconds, n=100)[-1]
    return [
        at_most(SECTION, "revoked on A, refused on B: p99", measured=p99, limit=_REFUSED_MS, unit="ms", decimals=1),
        Finding(section=SECTION, claim="revoked on A, refused on B: p50", measured=f"{median(milliseconds):.1f} ms"),
        at_most(SECTION, f"answers `active` after the 200, of {count:,}", measured=missed, limit=0, unit="answers"),
    ]


def _rates(bench: Bench, findings: list[Finding]) -> tuple[list[Figure], list[Finding]]:
    with ExitStack() as stack:
        shared = stack.enter_context(_shared_settings())
        plain = stack.enter_context(bench.own_server("instances-alone"))
        full = stack.enter_context(bench.own_server("instances-shared", settings=shared))
        peers = stack.enter_context(bench.peer_servers(introspected=True))
        alone, together = (_token_contestant(name, *server) for name, server in (("alone", plain), ("shared", full)))
        introspecting = steady(
            "introspection, with Redis", full[0].introspection_load(full[1], full[0].issue_tokens([full[1]]))
        )
        theirs = [
            steady(
                f"introspection, {peer.name}",
                server.introspection_load(PEER_CLIENT, server.issue_tokens([PEER_CLIENT])),
            )
            for peer, server in peers
        ]
        contestants = [alone, together, introspecting, *theirs]
        figures = alternate(SECTION, contestants, bench.generator, bench.options)
    claim = "tokens/s with Redis and PostgreSQL, of the rate with SQLite alone"
    findings = [*findings, compare_shares(claim, figures[1], figures[0], _ALONE_PERCENT)]
    for (peer, _), figure in zip(peers, figures[3:], strict=True):
        target = next(target for name, target in _TARGETS.items() if peer.name.startswith(name))
        claim = f"introspections/s, strictly consistent with Redis, against {peer.name}"
        findings.append(compare_rates(claim, figures[2], figure, target))
    return figures, findings


def _token_contestant(name: str, server: Server, client: Client) -> Contestant:
    return steady(f"tokens, {name}", server.token_load([client]))


@contextmanager
def _shared_settings() -> Iterator[Mapping[str, str]]:
    """Run a Redis and a PostgreSQL of the bench's own, and give the settings that name them."""
    with redis_server.start_redis() as redis, postgresql.start_postgresql() as database:
        yield {
            "AUTHSERVER_REDIS_URL": redis.url,
            "AUTHSERVER_DATABASE_URL": database.url(database.create_database()),
        }
