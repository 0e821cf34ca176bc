"""What many clients cost, once each has been here before."""

from secrets import SystemRandom

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Results, compare_shares
from tests.benchmarks.own_server import create_clients
from tests.benchmarks.progress import say
from tests.benchmarks.rounds import alternate, steady

SECTION = "clients"

_TARGET_PERCENT = 70


def measure(bench: Bench) -> Results:
    """Measure tokens of many clients in random order against tokens of one client, on one server."""
    count = bench.options.clients
    with bench.own_server(SECTION) as (server, client):
        say(f"{SECTION}: creating {count:,} clients, and a token of each")
        many = create_clients(bench.folder / SECTION, server, count)
        server.issue_tokens(many)
        SystemRandom().shuffle(many)
        contestants = [
            steady("one client", server.token_load([client])),
            steady(f"{count:,} clients", server.token_load(many)),
        ]
        figures = alternate(SECTION, contestants, bench.generator, bench.options)
    one_client, many_clients = figures
    claim = f"tokens/s of {count:,} clients in random order, of one client's"
    return Results(figures, [compare_shares(claim, many_clients, one_client, _TARGET_PERCENT)])
