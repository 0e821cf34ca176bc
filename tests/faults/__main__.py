"""`python -m tests.faults`: the long form, and its figures beside what was promised."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests import postgresql
from tests.faults.crashes import CrashSeries
from tests.faults.databases import POSTGRESQL, SQLITE
from tests.faults.deployment import ISSUER, Deployment, start_deployment
from tests.faults.floods import BOUND_BYTES, flood
from tests.faults.load import Tally
from tests.faults.nursery import open_nursery
from tests.faults.test_redis import FAULTS, hang, struck
from tests.revoked_tokens import write_to_sqlite
from tests.server import start_server

ROUNDS = int(os.environ.get("FAULTS_ROUNDS", "1000"))
SECONDS = float(os.environ.get("FAULTS_SECONDS", "10"))
ENTRIES = int(os.environ.get("FAULTS_ENTRIES", "1000000"))
BAD_REQUESTS = int(os.environ.get("FAULTS_BAD_REQUESTS", "10000"))


@dataclass
class Figures:
    """What the report says in the end."""

    acknowledged: int = 0
    lost: int = 0
    reported_active: int = 0
    wrong_invalid_client: int = 0
    failed_tokens: int = 0
    other_wrong: list[str] = field(default_factory=list)
    hung_p99: float = 0.0
    worst_recovery: float = 0.0
    refill: float = 0.0
    flood_growth: int = 0

    def add(self, tally: Tally) -> None:
        """Take over what callers were told."""
        self.acknowledged += len(tally.acknowledged)
        self.reported_active += tally.revoked_reported_active + len(tally.late)
        self.wrong_invalid_client += tally.wrong_invalid_client
        self.failed_tokens += tally.failed_tokens
        self.other_wrong += tally.wrong

    def rows(self) -> list[tuple[str, str, str, bool]]:
        """Return each figure with what was promised, and whether it was kept."""
        return [
            ("acknowledged revocations lost", f"{self.lost} of {self.acknowledged}", "0", self.lost == 0),
            ("revoked tokens reported active", str(self.reported_active), "0", self.reported_active == 0),
            ("wrong invalid_client", str(self.wrong_invalid_client), "0", self.wrong_invalid_client == 0),
            ("token requests failed while Redis is away", str(self.failed_tokens), "0", self.failed_tokens == 0),
            ("other wrong answers", str(len(self.other_wrong)), "0", not self.other_wrong),
            (
                "p99 of introspection while Redis hangs",
                f"{self.hung_p99 * 1000:.0f} ms",
                "300 ms",
                self.hung_p99 <= 0.3,
            ),
            ("longest recovery", f"{self.worst_recovery:.2f} s", "2 s", self.worst_recovery <= 2),
            (
                f"memory for {BAD_REQUESTS:,} bad requests at once",
                f"{self.flood_growth / 1e6:.0f} MB",
                f"{BOUND_BYTES / 1e6:.0f} MB",
                self.flood_growth <= BOUND_BYTES,
            ),
            (f"start with {ENTRIES:,} revocations", f"{self.refill:.1f} s", "5 s", self.refill <= 5),
        ]


def main() -> int:
    """Run everything, print the figures, and return 1 if a promise was not kept."""
    figures = Figures()
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}\n", flush=True)
    _faults(figures)
    _crashes(figures, SQLITE)
    if postgresql.unavailable() is None:
        _crashes(figures, POSTGRESQL)
    else:
        print(postgresql.unavailable())
    _flood(figures)
    _refill(figures)
    print()
    for name, value, promised, kept in figures.rows():
        print(f"{'ok  ' if kept else 'MISS'} {name:<45} {value:>12}   (at most {promised})")
    for line in figures.other_wrong[:20]:
        print("    ", line)
    return 0 if all(kept for *_, kept in figures.rows()) else 1


def _faults(figures: Figures) -> None:
    """Let Redis fail in every way under load, and heal it."""
    with _directory() as directory, start_deployment(directory) as deployment:
        for parameter in FAULTS:
            fault: Callable[[Deployment], None] = parameter.values[0]  # type: ignore[assignment]
            tally = struck(deployment, fault, SECONDS)
            recovery = deployment.heal()
            figures.add(tally)
            figures.lost += sum(
                deployment.is_active(server, token) is not False
                for server in (deployment.a, deployment.b)
                for token in tally.acknowledged
            )
            figures.worst_recovery = max(figures.worst_recovery, recovery)
            if fault is hang:
                figures.hung_p99 = tally.percentile(0.99)
            print(
                f"{parameter.id:<24} {len(tally.introspection_seconds):>6} introspections, "
                f"p99 {tally.percentile(0.99) * 1000:4.0f} ms, {tally.statuses['token 200']:>5} tokens, "
                f"{len(tally.acknowledged):>5} revoked, {len(tally.wrong)} wrong, recovery {recovery:.2f} s",
                flush=True,
            )


def _crashes(figures: Figures, database: str) -> None:
    """Kill an instance again and again."""
    with (
        _directory() as directory,
        start_deployment(directory, database=database) as deployment,
        open_nursery() as nursery,
    ):
        series = CrashSeries(deployment, nursery, seed=2)
        for _ in range(ROUNDS):
            series.round()
        series.judge_in_the_end()
    report = series.report
    figures.acknowledged += report.acknowledged
    figures.lost += len(report.lost)
    figures.other_wrong += report.wrong
    print(
        f"kill -9 on {database}, {report.rounds} runs: {report.acknowledged} revocations acknowledged, "
        f"{report.interrupted} not; {dict(report.steps)}, {len(report.lost)} lost, {len(report.wrong)} wrong",
        flush=True,
    )


def _flood(figures: Figures) -> None:
    """Send an instance thousands of bad requests at once."""
    with _directory() as directory, start_server(directory) as server:
        report = flood(server, server.create_client(), requests=BAD_REQUESTS)
    figures.flood_growth = report.growth_bytes
    print(
        f"{BAD_REQUESTS:,} bad requests: answered {dict(report.answers)}; meanwhile tokens {dict(report.good)}, the "
        f"slowest after {max(report.good_seconds):.1f} s, health after {max(report.health_seconds):.1f} s; resident "
        f"{report.rss_before / 1e6:.0f} MB, at most {report.rss_peak / 1e6:.0f} MB, {report.rss_after / 1e6:.0f} MB",
        flush=True,
    )


def _refill(figures: Figures) -> None:
    """Start an instance on a database with a million revocations."""
    with _directory() as directory:
        with start_server(directory, AUTHSERVER_ISSUER=ISSUER) as server:
            client = server.create_client()
            token = server.token(client)
            assert server.revoke(token, client).status == 200
        write_to_sqlite(directory / "authserver.db", ENTRIES)
        started = time.monotonic()
        with start_server(directory, AUTHSERVER_ISSUER=ISSUER) as server:
            figures.refill = time.monotonic() - started
            assert server.introspect(token, client).json() == {"active": False}
            print(f"{ENTRIES:,} revocations: start {figures.refill:.1f} s, {server.rss_bytes() / 1e6:.0f} MB resident")


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="authserver-faults-") as name:
        yield Path(name)


if __name__ == "__main__":
    sys.exit(main())
