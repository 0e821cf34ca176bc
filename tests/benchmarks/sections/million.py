"""What a million revoked tokens cost an instance: memory, time to start, and room in Redis."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from statistics import median
from urllib.parse import urlencode

from tests import postgresql, redis_server
from tests.benchmarks.bench import Bench
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.figures import Finding, Results, at_most
from tests.benchmarks.own_server import own_server
from tests.benchmarks.progress import say
from tests.benchmarks.server import FORM, Client, Connection, Server
from tests.redis_server import RedisServer
from tests.revoked_tokens import write_to_postgresql, write_to_sqlite
from tests.server import claims_of

SECTION = "million"

_STARTS = 3
_START_SECONDS = 5
_MEGABYTES = 150
_REVOKED_OVER_HTTP = 1_000
_KEYS_BYTES = 1_000
_REDIS_BYTES = 1_000_000

_NOTE = (
    f"Section {SECTION}: one instance with Redis, its process started {_STARTS} times without revocations and "
    f"{_STARTS} times with them, medians. They are of tokens issued evenly over an hour, and written into the database "
    f"while the instance is stopped. Then {_REVOKED_OVER_HTTP:,} more are revoked over HTTP, and Redis is looked at "
    "while the instance uses it. Buffers of connections make used_memory uncertain by some 100,000 bytes."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instance:
    """What it takes to start the same instance again, and two of its tokens."""

    bench: Bench
    data_name: str
    port: int
    settings: Mapping[str, str]
    client: Client
    live: str
    revoked: str
    """Live, too, until it is among those that are written as revoked."""

    def run(self, redis: RedisServer) -> AbstractContextManager[Server]:
        """Run it beside `redis` until the block ends, once it is ready."""
        return own_server(
            self.bench.folder / self.data_name,
            port=self.port,
            cores=self.bench.cores.server,
            settings={**self.settings, "AUTHSERVER_REDIS_URL": redis.url},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """Medians of several starts, and what was in Redis after them."""

    start_seconds: float
    megabytes: float
    redis_bytes: int
    keys_bytes: int


def measure(bench: Bench) -> Results:
    """Start an instance without them and with them, on PostgreSQL and on SQLite, with Redis beside it."""
    missing = redis_server.unavailable() or postgresql.unavailable()
    if missing:
        return Results(findings=[Finding(section=SECTION, claim="many revocations", measured=missing)])
    count = bench.options.revocations
    with postgresql.start_postgresql() as server:
        database = server.create_database()
        settings = {"AUTHSERVER_DATABASE_URL": server.url(database)}
        fill = partial(write_to_postgresql, server, database, count)
        with_postgresql = _without_and_with(bench, f"{SECTION}-postgresql", settings, fill)
    data_name = f"{SECTION}-sqlite"
    fill = partial(write_to_sqlite, bench.folder / data_name / "authserver.db", count)
    with_sqlite = _without_and_with(bench, data_name, {}, fill)
    findings = [
        *_instance_findings(f"{count:,} revocations in PostgreSQL", *with_postgresql),
        *_instance_findings(f"{count:,} revocations in SQLite", *with_sqlite),
        *_redis_findings(f"{count:,} revocations in PostgreSQL", *with_postgresql),
    ]
    return Results(findings=findings, notes=[_NOTE])


def _without_and_with(
    bench: Bench, data_name: str, settings: Mapping[str, str], fill: Callable[..., None]
) -> tuple[_Held, _Held]:
    with bench.own_server(data_name, settings=settings) as (server, client):
        live, revoked = server.issue_tokens([client, client])
        port = server.port
    instance = _Instance(
        bench=bench, data_name=data_name, port=port, settings=settings, client=client, live=live, revoked=revoked
    )
    without = _hold(instance, filled=False)
    say(f"{data_name}: writing the revoked tokens")
    fill(among=[claims_of(revoked)["jti"]])
    return without, _hold(instance, filled=True)


def _hold(instance: _Instance, *, filled: bool) -> _Held:
    """Start the instance several times beside a fresh Redis, and once more to weigh Redis while it is used."""
    with redis_server.start_redis() as redis:
        starts = [_start(instance, redis, filled=filled) for _ in range(_STARTS)]
        redis_bytes, keys_bytes = _weigh_redis(instance, redis, revoked_over_http=_REVOKED_OVER_HTTP if filled else 0)
    return _Held(
        start_seconds=median(seconds for seconds, _ in starts),
        megabytes=median(megabytes for _, megabytes in starts),
        redis_bytes=redis_bytes,
        keys_bytes=keys_bytes,
    )


def _start(instance: _Instance, redis: RedisServer, *, filled: bool) -> tuple[float, float]:
    """Return the seconds from the start of the process to the first 200, and the memory then (RSS, MB)."""
    began = time.perf_counter()
    with instance.run(redis) as server:
        seconds = time.perf_counter() - began
        megabytes = server.running.resident_megabytes()
        if not server.is_active(instance.client, instance.live):
            raise BenchmarkError("a live token is refused after a start")
        if server.is_active(instance.client, instance.revoked) is filled:
            raise BenchmarkError("the revoked tokens that were written to the database are not what is refused")
    say(f"{instance.data_name}: {seconds:.2f} s, {megabytes:.0f} MB")
    return seconds, megabytes


def _weigh_redis(instance: _Instance, redis: RedisServer, *, revoked_over_http: int) -> tuple[int, int]:
    """Return used_memory, and what the keys take, once the instance has revoked and has been asked."""
    client = instance.client
    with instance.run(redis) as server:
        tokens = server.issue_tokens([client] * revoked_over_http)
        with Connection(server.port) as connection:
            for token in tokens:
                connection.post("/oauth2/revoke", client.basic(), FORM, urlencode({"token": token}))
        if any(server.is_active(client, token) for token in tokens[-1:]):
            raise BenchmarkError("a token that was revoked over HTTP is active")
        server.is_active(client, instance.live)
        keys_bytes = sum(int(redis.command("MEMORY", "USAGE", key) or 0) for key in redis.command("KEYS", "*"))
        return int(redis.command("INFO", "memory")["used_memory"]), keys_bytes


def _instance_findings(what: str, without: _Held, many: _Held) -> list[Finding]:
    start, memory = f"{what}: start of the process to the first 200", f"{what}: memory of an instance for them (RSS)"
    start += f" ({without.start_seconds:.2f} s without)"
    memory += f" (it has {without.megabytes:.0f} MB without)"
    extra = many.megabytes - without.megabytes
    return [
        at_most(SECTION, start, measured=many.start_seconds, limit=_START_SECONDS, unit="s", decimals=2),
        at_most(SECTION, memory, measured=extra, limit=_MEGABYTES, unit="MB"),
    ]


def _redis_findings(what: str, without: _Held, many: _Held) -> list[Finding]:
    used, keys = f"{what}: used_memory of Redis, more than without", f"{what}: all keys in Redis (MEMORY USAGE)"
    extra = many.redis_bytes - without.redis_bytes
    return [
        at_most(SECTION, used, measured=extra, limit=_REDIS_BYTES, unit="bytes"),
        at_most(SECTION, keys, measured=many.keys_bytes, limit=_KEYS_BYTES, unit="bytes"),
    ]
