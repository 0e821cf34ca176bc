"""How many introspections of a live JWT per second: of one that was seen before, and of ones never seen."""

import math
from secrets import SystemRandom

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Results, Sample, compare_rates
from tests.benchmarks.peer_servers import PEER_CLIENT, Peer
from tests.benchmarks.rounds import Contestant, alternate, steady
from tests.benchmarks.server import Client, Load, Server

SECTION = "introspection"

# More tokens than can be asked for at the rate of the warm-up, so that none is asked for twice.
_SPARE = 1.3


def measure(bench: Bench) -> Results:
    """Measure ours both ways, and each peer with one token of the format that it introspects."""
    with bench.own_server(SECTION) as (server, client), bench.peer_servers(introspected=True) as peers:
        one_token = server.introspection_load(client, server.issue_tokens([client]))
        contestants = [
            steady("authserver, one JWT", one_token),
            Contestant(
                "authserver, each JWT once", one_token, lambda seen: _unseen_tokens(bench, server, client, seen)
            ),
            *(_peer_contestant(peer, running) for peer, running in peers),
        ]
        figures = alternate(SECTION, contestants, bench.generator, bench.options)
    ours, theirs = figures[:2], figures[2:]
    findings = [
        compare_rates(f"{figure.name}, against {peer.name}", figure, their_figure, peer.introspection_target)
        for figure in ours
        for (peer, _), their_figure in zip(peers, theirs, strict=True)
    ]
    return Results(figures, findings)


def _unseen_tokens(bench: Bench, server: Server, client: Client, seen: Sample) -> Load:
    count = math.ceil(seen.requests_per_second * bench.options.seconds * _SPARE)
    tokens = bench.generator.mint(server, client, count)
    SystemRandom().shuffle(tokens)
    return server.introspection_load(client, tokens, only_once=True)


def _peer_contestant(peer: Peer, server: Server) -> Contestant:
    name = f"{peer.name}, one {peer.introspected_format} token"
    return steady(name, server.introspection_load(PEER_CLIENT, server.issue_tokens([PEER_CLIENT])))
