"""The brake on token scanning (INT-09)."""

from __future__ import annotations

import pytest

from authserver.core.errors import TooManyRequests
from authserver.limits.misses import MissBudget

MINUTE_MS = 60_000


class Budget:
    """A budget of three misses, its clock, and the alarms that it raised."""

    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000
        self.alarms: list[str] = []
        self.budget = MissBudget(limit=3, clock=lambda: self.now_ms, alarm=self.alarms.append)

    def spend(self, caller: str, misses: int) -> None:
        """Let a caller try tokens out."""
        for _ in range(misses):
            self.budget.require(caller)
            self.budget.count(caller)


def test_up_to_the_limit() -> None:
    """INT-09: the limit itself is allowed, the next request is not, and one alarm is raised."""
    budget = Budget()
    budget.spend("rs", 3)
    for _ in range(5):
        with pytest.raises(TooManyRequests):
            budget.budget.require("rs")
    assert budget.alarms == ["rs"]


def test_callers_do_not_share() -> None:
    """INT-09: one caller's misses are no other's."""
    budget = Budget()
    budget.spend("rs", 3)
    budget.spend("other", 2)
    budget.budget.require("other")
    assert budget.alarms == ["rs"]


def test_looking_costs_nothing() -> None:
    """INT-09: only misses are counted, not requests."""
    budget = Budget()
    for _ in range(100):
        budget.budget.require("rs")
    assert budget.alarms == []


def test_a_new_minute_a_new_budget() -> None:
    """INT-09: with the next window the budget is whole again, and its alarm too."""
    budget = Budget()
    budget.spend("rs", 3)
    budget.now_ms += MINUTE_MS
    budget.spend("rs", 3)
    with pytest.raises(TooManyRequests):
        budget.budget.require("rs")
    assert budget.alarms == ["rs", "rs"]


def test_misses_that_were_under_way_raise_no_second_alarm() -> None:
    """INT-09: requests that were admitted together may overshoot the limit; the alarm is raised once."""
    budget = Budget()
    for _ in range(10):
        budget.budget.require("rs")
    for _ in range(10):
        budget.budget.count("rs")
    assert budget.alarms == ["rs"]


def test_a_clock_that_goes_back_ends_nothing() -> None:
    """CLK-01: a clock set back begins another window; nobody is locked out until it catches up."""
    budget = Budget()
    budget.spend("rs", 3)
    budget.now_ms -= 3_600_000
    budget.budget.require("rs")


def test_memory_is_bounded_by_the_window() -> None:
    """INT-09: a new window forgets all callers of the last one."""
    budget = Budget()
    for number in range(1_000):
        budget.spend(f"rs_{number}", 1)
    budget.now_ms += MINUTE_MS
    budget.spend("rs", 1)
    assert len(budget.budget._misses) == 1
