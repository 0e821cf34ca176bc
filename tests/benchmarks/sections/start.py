"""How long it takes from the start of the process to the first 200 of the readiness endpoint."""

import time
from pathlib import Path
from statistics import median

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Finding, Results, at_most
from tests.benchmarks.own_server import own_server
from tests.benchmarks.processes import free_port
from tests.benchmarks.progress import say

SECTION = "start"

_LIMIT_SECONDS = 1.5

_NOTE = f"Section {SECTION}: one process on all cores, as a user starts it; medians."


def measure(bench: Bench) -> Results:
    """Measure starts on empty folders (schema, keys and secrets are made), and starts on those folders again."""
    folders = [bench.folder / f"{SECTION}-{number}" for number in range(bench.options.starts)]
    port = free_port()
    first = median(_seconds_to_ready(bench, folder, port) for folder in folders)
    again = median(_seconds_to_ready(bench, folder, port) for folder in folders)
    return Results(findings=[_finding("an empty folder", first), _finding("what is there", again)], notes=[_NOTE])


def _finding(data: str, seconds: float) -> Finding:
    claim = f"start of the process to the first 200, on {data}"
    return at_most(SECTION, claim, measured=seconds, limit=_LIMIT_SECONDS, unit="s", decimals=2)


def _seconds_to_ready(bench: Bench, data: Path, port: int) -> float:
    began = time.perf_counter()
    with own_server(data, port=port, cores=()):
        seconds = time.perf_counter() - began
    say(f"{SECTION}: {seconds:.2f} s")
    return seconds
