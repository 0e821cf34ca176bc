"""What it costs this process to hold many revocations, which it learns from the feed.

Told: `verifier`, what `from_config` takes; `count`, how many there are; `live` and `revoked`, tokens; `revoked_ids`,
some `jti` that are revoked, and as many `other_ids` that are not; `checks`, how many look-ups to time. Tells: `seconds`
until all are known, `megabytes` that the process has grown by and `peak_megabytes` by at most (RSS), `lookup_us`, and
`check_us` of a token seen before, medians of several rounds.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from authserver.core.identifiers import token_id_bytes
from authserver.resource_server import InvalidToken, ThreadVerifier
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.processes import resident_bytes
from tests.benchmarks.talk import hear, tell

_LEARN_SECONDS = 300
_ROUNDS = 7
_POLL_SECONDS = 0.005
_BYTES_PER_KIB = 1024


def main() -> None:
    """Learn, then weigh, then look up."""
    order = hear()
    verifier = ThreadVerifier.from_config(**order["verifier"])
    before = resident_bytes(os.getpid())
    began = time.perf_counter()
    with verifier:
        while verifier.status().revocations < order["count"]:
            if time.perf_counter() - began > _LEARN_SECONDS:
                raise TimeoutError(f"{verifier.status().revocations} revocations are known")
            time.sleep(_POLL_SECONDS)
        seconds = time.perf_counter() - began
        after = resident_bytes(os.getpid())
        _prove(verifier, order["live"], order["revoked"])
        tell(
            {
                "seconds": seconds,
                "megabytes": (after - before) / 1_000_000,
                "peak_megabytes": (_peak_bytes() - before) / 1_000_000,
                "lookup_us": median(_lookup_us(verifier, order) for _ in range(_ROUNDS)),
                "check_us": median(_check_us(verifier, order) for _ in range(_ROUNDS)),
            }
        )


def _prove(verifier: ThreadVerifier, live: str, revoked: str) -> None:
    """See that what is timed is a look-up that finds what is there."""
    verifier.verify(live)
    try:
        verifier.verify(revoked)
    except InvalidToken as refusal:
        if refusal.reason == "revoked":
            return
    raise BenchmarkError("the revoked tokens that were written to the database are not what is refused")


def _lookup_us(verifier: ThreadVerifier, order: dict[str, Any]) -> float:
    """Look at the copy that the verifier holds: half of the tokens are revoked, in random order."""
    assert verifier._engine.check is not None
    is_revoked = verifier._engine.check.revocations.is_revoked
    token = verifier.verify(order["live"])
    found = sum(is_revoked(token, token_id_bytes(each)) for each in order["revoked_ids"])
    assert found == len(order["revoked_ids"]), "not all that were revoked are found"
    ids = [
        token_id_bytes(each) for each in random.choices(order["revoked_ids"] + order["other_ids"], k=order["checks"])
    ]
    began = time.perf_counter()
    for token_id in ids:
        is_revoked(token, token_id)
    return (time.perf_counter() - began) * 1_000_000 / len(ids)


def _check_us(verifier: ThreadVerifier, order: dict[str, Any]) -> float:
    verify: Callable[[str], object] = verifier.verify
    tokens = [order["live"].encode().decode() for _ in range(order["checks"])]
    began = time.perf_counter()
    for token in tokens:
        verify(token)
    return (time.perf_counter() - began) * 1_000_000 / len(tokens)


def _peak_bytes() -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * _BYTES_PER_KIB


if __name__ == "__main__":
    main()
