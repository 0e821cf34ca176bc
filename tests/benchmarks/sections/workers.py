"""How much more two workers on two cores do than one."""

import os
from contextlib import ExitStack
from statistics import median

from tests import redis_server
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Finding, Results, compare_capacities, compare_rates
from tests.benchmarks.rounds import alternate, steady
from tests.benchmarks.server import Client, Server

SECTION = "workers"

_WORKERS = 2
_TARGET = 1.6
_WORK = ("tokens", "introspections")


def measure(bench: Bench) -> Results:
    """Measure a server of two workers against one of a single worker, each with a Redis of its own."""
    missing = redis_server.unavailable() or _too_few_cores()
    if missing:
        return Results(findings=[Finding(section=SECTION, claim="several workers", measured=missing)])
    roomy = bench.with_server_cores(_WORKERS)
    with ExitStack() as stack:
        servers = {count: _start(stack, roomy, count) for count in (1, _WORKERS)}
        contestants = []
        for count, (server, client) in servers.items():
            name = f"{count} worker{'s' if count > 1 else ''}"
            one_token = server.introspection_load(client, server.issue_tokens([client]))
            contestants.append(steady(f"tokens, {name}", server.token_load([client])))
            contestants.append(steady(f"introspections, {name}", one_token))
        figures = alternate(SECTION, contestants, roomy.generator, roomy.options)
    alone, together = figures[: len(_WORK)], figures[len(_WORK) :]
    findings = []
    for work, one, several in zip(_WORK, alone, together, strict=True):
        findings += _findings(work, one, several)
    return Results(figures, findings, [_note(load_has_its_own=bool(roomy.cores.load))])


def _start(stack: ExitStack, bench: Bench, count: int) -> tuple[Server, Client]:
    redis = stack.enter_context(redis_server.start_redis())
    settings = {"AUTHSERVER_REDIS_URL": redis.url, "AUTHSERVER_WORKERS": str(count)}
    return stack.enter_context(bench.own_server(f"{SECTION}-{count}", settings=settings))


def _findings(work: str, one: Figure, several: Figure) -> list[Finding]:
    by_cpu = f"{work}/s that {_WORKERS} cores have CPU time for with {_WORKERS} workers, against 1 core with 1"
    wrk_us = median(sample.load_cpu_us for sample in several.samples)
    beside = f"{work}: CPU time of wrk a request, beside {several.cpu_us:.0f} \N{MICRO SIGN}s of the {_WORKERS} workers"
    return [
        compare_rates(f"{work}/s with {_WORKERS} workers against 1, as wrk sees it", several, one, _TARGET),
        compare_capacities(by_cpu, several, one, _TARGET, cores=_WORKERS, their_cores=1),
        Finding(section=SECTION, claim=beside, measured=f"{wrk_us:.0f} \N{MICRO SIGN}s"),
    ]


def _note(*, load_has_its_own: bool) -> str:
    place = (
        "a core of its own" if load_has_its_own else "no core of its own and takes part of what the workers could use"
    )
    return (
        f"Section {SECTION}: each server with SQLite and a Redis of its own, nothing pinned to a single core. wrk has "
        f"{place}, so the ratio that it sees "
        + ("is that of the servers." if load_has_its_own else "is less than that of the servers.")
        + " The other ratio comes from the CPU time (utime + stime of all processes of the server) of a request: what "
        f"{_WORKERS} cores have time for at the cost of a request with {_WORKERS} workers, over what 1 core has time "
        "for at the cost with 1. It leaves out wrk and Redis, as if they ran elsewhere."
    )


def _too_few_cores() -> str | None:
    available = len(os.sched_getaffinity(0))
    return None if available >= _WORKERS else f"needs {_WORKERS} cores, there is {available}"
