"""What many revoked tokens cost an introspection."""

from tests.benchmarks.bench import Bench
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.figures import Finding, Results, compare_shares
from tests.benchmarks.progress import say
from tests.benchmarks.rounds import Contestant, alternate, steady
from tests.benchmarks.server import Client, Server
from tests.revoked_tokens import write_to_sqlite
from tests.server import claims_of

SECTION = "revoked"

_TARGET_PERCENT = 90
_FULL, _EMPTY = "revoked-many", "revoked-none"


def measure(bench: Bench) -> Results:
    """Measure two servers, one of which holds many revoked tokens."""
    count = bench.options.revocations
    with bench.own_server(_FULL) as (server, client):
        revoked, live = server.issue_tokens([client, client])
        port = server.port
    say(f"{SECTION}: writing {count:,} revoked tokens")
    write_to_sqlite(bench.folder / _FULL / "authserver.db", count, among=[claims_of(revoked)["jti"]])
    with bench.own_server(_EMPTY) as empty, bench.own_server(_FULL, port=port) as full:
        if full[0].is_active(client, revoked) or not full[0].is_active(client, live):
            raise BenchmarkError("the revoked tokens that were written to the database are not what is refused")
        contestants = [_contestant("none revoked", *empty), _contestant(f"{count:,} revoked", *full)]
        figures = alternate(SECTION, contestants, bench.generator, bench.options)
        memory = full[0].running.resident_megabytes()
    none, many = figures
    claim = f"introspections/s with {count:,} revoked tokens, of the rate with none"
    findings = [
        compare_shares(claim, many, none, _TARGET_PERCENT),
        Finding(section=SECTION, claim=f"memory with {count:,} revoked tokens (RSS)", measured=f"{memory:.0f} MB"),
    ]
    return Results(figures, findings)


def _contestant(name: str, server: Server, client: Client) -> Contestant:
    return steady(name, server.introspection_load(client, server.issue_tokens([client])))
