"""What one Python process could do at all, and how near we come to it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Results, compare_shares
from tests.benchmarks.processes import free_port, running
from tests.benchmarks.rounds import Contestant, alternate, steady
from tests.benchmarks.server import Client, Server

SECTION = "ceiling"

_PROJECT = Path(__file__).parents[3]
_START_SECONDS = 20
_BARE = "bare uvicorn"
_SIGNING = "bare uvicorn and one ES256 signature"


def measure(bench: Bench) -> Results:
    """Measure our token requests against an app that does nothing, and one that only signs."""
    with (
        bench.own_server(SECTION) as (server, client),
        _ceiling_server(bench, _BARE) as bare,
        _ceiling_server(bench, _SIGNING, "--sign") as signing,
    ):
        contestants = [_contestant(each, client) for each in (server, bare, signing)]
        ours, bare_figure, signing_figure = alternate(SECTION, contestants, bench.generator, bench.options)
    return Results(
        [ours, bare_figure, signing_figure],
        [
            compare_shares(f"tokens/s, of {_BARE}", ours, bare_figure),
            compare_shares(f"tokens/s, of {_SIGNING}", ours, signing_figure),
        ],
    )


def _contestant(server: Server, client: Client) -> Contestant:
    return steady(server.name, server.token_load([client]))


@contextmanager
def _ceiling_server(bench: Bench, name: str, *flags: str) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.ceiling_app", "--port", str(port), *flags]
    log = bench.folder / f"{SECTION}{len(flags)}.log"
    with running(command, environment=os.environ, folder=_PROJECT, log=log, cores=bench.cores.server) as process:
        server = Server(
            name=name,
            port=port,
            running=process,
            ready_path="/",
            token_path="/oauth2/token",
            introspection_path="/oauth2/introspect",
        )
        server.wait_until_ready(_START_SECONDS)
        yield server
