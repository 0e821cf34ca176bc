"""What a check by the library costs a service: of a token seen before, at first sight, and beside many revocations."""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from authserver.core.identifiers import new_token_id
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Finding, Results, at_most
from tests.benchmarks.progress import say
from tests.benchmarks.protected import Protected, protect
from tests.benchmarks.talk import talking
from tests.revoked_tokens import write_to_sqlite
from tests.server import claims_of

SECTION = "verifier"

_SEEN_US = 5
_FIRST_TIMES = 1.3
_LOOKUP_US = 2
_MEGABYTES = 150
_ROUNDS = 7
_NEW_TOKENS_PER_ROUND = 500
_LOOKED_UP = 10_000
_SPREAD_SECONDS = 3_600

_MICRO = "\N{MICRO SIGN}s"
_TIMES = "\N{MULTIPLICATION SIGN}"


def measure(bench: Bench) -> Results:
    """Measure checks in a process of their own, then in another one that has learnt many revocations."""
    count = bench.options.revocations
    data = bench.folder / SECTION
    with bench.own_server(SECTION) as (server, client):
        protected = protect(data, server)
        tokens = bench.generator.mint(server, client, (_ROUNDS + 1) * _NEW_TOKENS_PER_ROUND)
        tokens = tokens[: (_ROUNDS + 1) * _NEW_TOKENS_PER_ROUND]
        say(f"{SECTION}: checking")
        times = _ask(bench, "check_times", protected, {"tokens": tokens, "rounds": _ROUNDS})
        port = server.port
    live, revoked = tokens[:2]
    revoked_ids = [claims_of(revoked)["jti"], *_new_ids(min(_LOOKED_UP, count // 2))]
    say(f"{SECTION}: writing {count:,} revoked tokens")
    write_to_sqlite(data / "authserver.db", count, among=revoked_ids)
    order = {
        "count": count,
        "live": live,
        "revoked": revoked,
        "revoked_ids": revoked_ids,
        "other_ids": _new_ids(len(revoked_ids)),
    }
    with bench.own_server(SECTION, port=port):
        held = _ask(bench, "held_revocations", protected, order)
    return Results(findings=[*_check_findings(times), *_held_findings(count, held)], notes=[_note(tokens, count)])


def _ask(bench: Bench, program: str, protected: Protected, order: Mapping[str, Any]) -> Any:
    with talking(program, log=bench.folder / f"{program}.log", cores=bench.cores.load) as talk:
        talk.tell({**order, "verifier": protected.arguments(), "checks": bench.options.checks})
        return talk.hear()


def _new_ids(count: int) -> list[str]:
    """Return new `jti` of tokens as if issued evenly over the last hour."""
    now = time.time()
    return [new_token_id(int((now - number % _SPREAD_SECONDS) * 1_000)) for number in range(count)]


def _check_findings(times: Mapping[str, Sequence[float]]) -> list[Finding]:
    findings = [
        at_most(
            SECTION,
            f"a token seen before, {how}",
            measured=median(times[name]),
            limit=_SEEN_US,
            unit=_MICRO,
            decimals=2,
        )
        for name, how in (
            ("seen", "await Verifier.verify"),
            ("seen_scope", "await Verifier.verify, a scope needed"),
            ("seen_thread", "ThreadVerifier.verify"),
        )
    ]
    bare = times["joserfc"]
    for name, how in (("first", "await Verifier.verify"), ("first_thread", "ThreadVerifier.verify")):
        ratio = median(ours / theirs for ours, theirs in zip(times[name], bare, strict=True))
        claim = f"first sight, {how} ({median(times[name]):.1f} {_MICRO}), of joserfc's decode ({median(bare):.1f})"
        findings.append(
            at_most(SECTION, claim, measured=ratio, limit=_FIRST_TIMES, unit=_TIMES, decimals=2),
        )
    return findings


def _held_findings(count: int, held: Mapping[str, float]) -> list[Finding]:
    many = f"{count:,} revocations"
    seen = f"a token seen before, ThreadVerifier.verify, with {many}"
    return [
        at_most(
            SECTION, f"look-up among {many}", measured=held["lookup_us"], limit=_LOOKUP_US, unit=_MICRO, decimals=2
        ),
        at_most(SECTION, seen, measured=held["check_us"], limit=_SEEN_US, unit=_MICRO, decimals=2),
        at_most(
            SECTION, f"memory of the service for {many} (RSS)", measured=held["megabytes"], limit=_MEGABYTES, unit="MB"
        ),
        Finding(
            section=SECTION,
            claim="the same at its highest, while they were learnt",
            measured=f"{held['peak_megabytes']:.0f} MB",
        ),
        Finding(section=SECTION, claim=f"{many} known after the start in", measured=f"{held['seconds']:.1f} s"),
    ]


def _note(tokens: Sequence[str], count: int) -> str:
    lengths = sorted(map(len, tokens))
    return (
        f"Section {SECTION}: ES256 tokens of {lengths[0]} to {lengths[-1]} characters, each check with a new text "
        f"object; {_ROUNDS} alternating rounds in one process after one that warms up, medians (of the ratios, round "
        "by round), wall time, the loop's included. joserfc: `jwt.decode` with the public key imported before, no "
        f"claims looked at. The {count:,} revocations come through the feed from a server that has them in SQLite, "
        "into a process that has checked nothing; what it grows by includes the verifier's thread and connections. "
        "Looked up are tokens of an hour in random order, half of them revoked."
    )
