"""What the ASGI middleware costs a request of a bare Starlette app."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Figure, Finding, Results, at_most, compare_shares
from tests.benchmarks.processes import free_port, running
from tests.benchmarks.programs.guarded_app import HEALTH
from tests.benchmarks.protected import protect
from tests.benchmarks.rounds import alternate, steady
from tests.benchmarks.server import Server

SECTION = "asgi"

_ADDED_US = 30
_PROJECT = Path(__file__).parents[3]
_START_SECONDS = 20
_MICROSECONDS = 1_000_000
_MICRO = "\N{MICRO SIGN}s"

_NOTE = (
    f"Section {SECTION}: the same app in two processes of uvicorn (httptools, uvloop), one of them with the "
    "middleware, every request with a good token of the scope that it wants. Our server runs beside them for the feed. "
    "Added time: what a request takes at the rate with the middleware, less what it takes at the rate without; the "
    "connections of wrk keep the app's core busy. Added CPU time: utime + stime of the app's process a request, the "
    "verifier's thread included. The middleware makes no system call: what the kernel adds is waking wrk, which sleeps "
    "more often between answers the slower they come."
)


def measure(bench: Bench) -> Results:
    """Measure the app without the middleware and with it."""
    data = bench.folder / SECTION
    with bench.own_server(SECTION) as (server, client):
        arguments = bench.folder / f"{SECTION}.json"
        arguments.write_text(json.dumps(protect(data, server).arguments()), encoding="utf-8")
        (token,) = server.issue_tokens([client])
        with _app(bench, "bare Starlette") as bare, _app(bench, "with ResourceServer", arguments) as guarded:
            contestants = [steady(app.name, app.bearer_load(token)) for app in (bare, guarded)]
            without, with_it = alternate(SECTION, contestants, bench.generator, bench.options)
    added = (
        ("time that the middleware adds to a request", _microseconds(with_it) - _microseconds(without)),
        ("CPU time that the middleware adds to a request", with_it.cpu_us - without.cpu_us),
    )
    findings = [
        at_most(SECTION, claim, measured=measured, limit=_ADDED_US, unit=_MICRO, decimals=1, of=(without, with_it))
        for claim, measured in added
    ]
    outside_kernel = f"{with_it.user_us - without.user_us:.1f} {_MICRO}"
    part = Finding(section=SECTION, claim="the part of it that is not the kernel's", measured=outside_kernel)
    share = compare_shares("requests/s with the middleware, of the rate without", with_it, without)
    return Results([without, with_it], [*findings, part, share], [_NOTE])


def _microseconds(figure: Figure) -> float:
    return _MICROSECONDS / figure.requests_per_second


@contextmanager
def _app(bench: Bench, name: str, *verifier: Path) -> Iterator[Server]:
    port = free_port()
    flags: Sequence[str] = ["--verifier", *map(str, verifier)] if verifier else []
    command = [sys.executable, "-m", "tests.benchmarks.programs.guarded_app", "--port", str(port), *flags]
    log = bench.folder / f"{SECTION}-app-{len(flags)}.log"
    with running(command, environment=os.environ, folder=_PROJECT, log=log, cores=bench.cores.server) as process:
        server = Server(name=name, port=port, running=process, ready_path=HEALTH, token_path="", introspection_path="")
        server.wait_until_ready(_START_SECONDS)
        yield server
