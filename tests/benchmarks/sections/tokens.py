"""How many ES256 tokens per second, and how late the slowest hundredth comes."""

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Results, compare_rates, compare_tails
from tests.benchmarks.own_server import OWN_NAME
from tests.benchmarks.peer_servers import PEER_CLIENT
from tests.benchmarks.rounds import alternate, steady

SECTION = "tokens"


def measure(bench: Bench) -> Results:
    """Measure one client's token requests, ours and the peers'."""
    with bench.own_server(SECTION) as (server, client), bench.peer_servers(introspected=False) as peers:
        contestants = [steady(OWN_NAME, server.token_load([client]))]
        contestants += [steady(peer.name, running.token_load([PEER_CLIENT])) for peer, running in peers]
        figures = alternate(SECTION, contestants, bench.generator, bench.options)
    ours, theirs = figures[0], figures[1:]
    findings = []
    for (peer, _), figure in zip(peers, theirs, strict=True):
        findings.append(compare_rates(f"tokens/s against {peer.name}", ours, figure, peer.token_target))
        findings.append(compare_tails(f"p99 of a token against {peer.name}", ours, figure))
    return Results(figures, findings)
