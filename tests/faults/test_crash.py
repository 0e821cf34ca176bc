"""kill -9 at any moment, of an instance and of Redis with it: what was answered holds, what was not can be repeated."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.crashes import CrashSeries
from tests.faults.deployment import start_deployment
from tests.faults.nursery import open_nursery

ROUNDS = 1000 if os.environ.get("FAULTS") == "long" else 200


def test_crash_01_killed_at_any_moment(tmp_path: Path) -> None:
    """CRASH-01, CRASH-02: kill -9 in mid revocation, secret rotation and key rotation: old or new, never half."""
    with start_deployment(tmp_path) as deployment, open_nursery() as nursery:
        series = CrashSeries(deployment, nursery, seed=1)
        for _ in range(ROUNDS):
            series.round()
        series.judge_in_the_end()
    report = series.report
    assert report.lost == []
    assert report.wrong == []
    assert report.acknowledged > ROUNDS
    assert report.interrupted > ROUNDS
    assert min(report.steps.values()) > ROUNDS / 10
