"""Whether key rotations under load make the library refuse a token that is good."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Finding, Results, Sample, at_most, summarise
from tests.benchmarks.own_server import admin_authorization
from tests.benchmarks.progress import say
from tests.benchmarks.protected import Protected, protect
from tests.benchmarks.server import FORM, JSON, Client, Connection, Server
from tests.benchmarks.talk import Talk, talking

SECTION = "rotations"

_VERIFIERS = 3
_INTERVAL_SECONDS = 0.25
_ROTATE = json.dumps({"alg": "ES256", "force": True})

_NOTE = (
    f"Section {SECTION}: {_VERIFIERS} processes with a verifier each get tokens and check them without a pause: a "
    "fresh one, up to ten older ones of other keys, and one that was revoked. wrk asks for tokens meanwhile. A "
    f"rotation every {_INTERVAL_SECONDS * 1_000:g} ms, later where the one before takes longer, forced: the next key "
    "signs at once, and a new next key is published."
)


def measure(bench: Bench) -> Results:
    """Rotate while three verifiers check and wrk asks for tokens."""
    count = bench.options.rotations
    data = bench.folder / SECTION
    with bench.own_server(SECTION) as (server, client):
        protected = protect(data, server)
        (revoked,) = server.issue_tokens([client])
        with Connection(server.port) as connection:
            connection.post("/oauth2/revoke", client.basic(), FORM, urlencode({"token": revoked}))
        with ExitStack() as stack:
            verifiers = [
                stack.enter_context(talking("key_checker", log=bench.folder / f"checker-{number}.log", cores=cores))
                for number, cores in enumerate([bench.cores.load] * _VERIFIERS)
            ]
            _start(verifiers, protected, server, client, revoked)
            samples = _rotate_under_load(bench, server, client, data)
            reports = _end(verifiers)
    figure = summarise(SECTION, "tokens while keys are rotated", samples)
    return Results([figure], _findings(count, reports), [_NOTE])


def _start(verifiers: Sequence[Talk], protected: Protected, server: Server, client: Client, revoked: str) -> None:
    order = {
        "verifier": protected.arguments(),
        "port": server.port,
        "authorization": client.basic(),
        "revoked": revoked,
    }
    for verifier in verifiers:
        verifier.tell(order)
    for verifier in verifiers:
        verifier.hear()


def _end(verifiers: Sequence[Talk]) -> list[Mapping[str, Any]]:
    for verifier in verifiers:
        verifier.tell({})
    return [verifier.hear() for verifier in verifiers]


def _rotate_under_load(bench: Bench, server: Server, client: Client, data: Path) -> list[Sample]:
    """Rotate while wrk runs; return its samples, one after another until the last rotation is over."""
    count = bench.options.rotations
    say(f"{SECTION}: {count} rotations under load")
    load, samples = server.token_load([client]), []
    with ThreadPoolExecutor(1) as pool:
        rotating = pool.submit(_rotate, server, admin_authorization(data), count)
        while not rotating.done():
            samples.append(bench.generator.measure(load, bench.options.seconds))
        rotating.result()
    return samples


def _rotate(server: Server, authorization: str, count: int) -> None:
    began = time.monotonic()
    with Connection(server.port) as connection:
        for number in range(1, count + 1):
            time.sleep(max(0.0, began + number * _INTERVAL_SECONDS - time.monotonic()))
            connection.post("/admin/v1/signing-keys/rotate", authorization, JSON, _ROTATE)


def _findings(count: int, reports: Sequence[Mapping[str, Any]]) -> list[Finding]:
    reasons: Counter[str] = Counter()
    for report in reports:
        reasons.update(report["refusals"])
    if reasons:
        say(f"{SECTION}: refused: {dict(reasons)}")
    checks, refused = (sum(report[name] for report in reports) for name in ("checks", "refused"))
    accepted, keys = sum(report["accepted"] for report in reports), min(report["keys"] for report in reports)
    during = f"{count} rotations, {len(reports)} verifiers"
    wrong = sum(reasons.values())
    return [
        at_most(SECTION, f"{during}: good tokens refused", measured=wrong, limit=0, unit="checks"),
        at_most(SECTION, f"{during}: a revoked token accepted", measured=accepted, limit=0, unit="checks"),
        Finding(section=SECTION, claim="checks of good tokens", measured=f"{checks:,}"),
        Finding(section=SECTION, claim="refusals, the right ones included", measured=f"{wrong + refused:,}"),
        Finding(section=SECTION, claim="keys that every verifier has met tokens of, at least", measured=f"{keys}"),
    ]
