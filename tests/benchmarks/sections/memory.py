"""What memory the server holds after a minute of load."""

from secrets import SystemRandom

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Finding, Results, at_most
from tests.benchmarks.progress import say
from tests.benchmarks.server import Server

SECTION = "memory"

_LIMIT_MEGABYTES = 110
_TOKENS = 20_000


def measure(bench: Bench) -> Results:
    """Measure after half the time of token requests and half of introspections of different tokens."""
    half = max(1, bench.options.memory_seconds // 2)
    with bench.own_server(SECTION) as (server, client):
        idle = _megabytes(server)
        say(f"{SECTION}: {2 * half} s of load")
        bench.generator.measure(server.token_load([client]), half)
        tokens = bench.generator.mint(server, client, _TOKENS)
        SystemRandom().shuffle(tokens)
        bench.generator.measure(server.introspection_load(client, tokens), half)
        loaded = _megabytes(server)
    return Results(
        findings=[
            Finding(section=SECTION, claim="memory once ready (RSS)", measured=f"{idle:.0f} MB"),
            at_most(
                SECTION,
                f"memory after {2 * half} s of load (RSS)",
                measured=loaded,
                limit=_LIMIT_MEGABYTES,
                unit="MB",
            ),
        ]
    )


def _megabytes(server: Server) -> float:
    return server.running.resident_megabytes()
