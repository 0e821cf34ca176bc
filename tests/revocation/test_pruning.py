"""Forgetting in time, and not while the clock may be wrong."""

from __future__ import annotations

import asyncio

import structlog

from authserver.revocation.pruning import DOUBT_SECONDS, Pruner
from authserver.revocation.service import RevocationService
from tests.core.test_revocation_index import START_MS, token_of
from tests.revocation.lives import lives
from tests.revocation.test_service import LEEWAY_SECONDS, Store

HOUR_SECONDS = 3600


class Machine:
    """A process whose wall clock can be set, and a token that was revoked in it; it lives for an hour."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.set_by_seconds = 0
        self.token = token_of(0, START_MS)
        self.revocations = RevocationService(
            store=Store(), clock=self.clock, longest_life=lives(HOUR_SECONDS), leeway_seconds=LEEWAY_SECONDS
        )
        self.prune = Pruner(revocations=self.revocations, clock=self.clock, elapsed=lambda: self.elapsed)

    def clock(self) -> int:
        """Return the wall clock."""
        return START_MS + int((self.elapsed + self.set_by_seconds) * 1000)

    def run(self, seconds: float) -> None:
        """Let time pass, and prune once a minute."""
        for _ in range(int(seconds) // 60):
            self.elapsed += 60
            asyncio.run(self.prune())

    def revoke(self) -> None:
        """Revoke the token."""
        asyncio.run(
            self.revocations.revoke_token(
                jti=self.token.jti, expires_at=START_MS // 1000 + HOUR_SECONDS, workspace_id="default", actor="test"
            )
        )


def test_what_nobody_can_present_is_forgotten() -> None:
    """REV-09: an entry goes once its token has expired, leeway added, and not before."""
    machine = Machine()
    machine.revoke()
    machine.run(HOUR_SECONDS)
    assert len(machine.revocations) == 1
    machine.run(2 * LEEWAY_SECONDS)
    assert len(machine.revocations) == 0


def test_clk_01_an_hour_ahead_and_back() -> None:
    """CLK-01: a clock that was an hour or a year ahead for a while made no revoked token live again."""
    for jump in (HOUR_SECONDS + 120, 365 * 24 * HOUR_SECONDS):
        machine = Machine()
        machine.revoke()
        machine.set_by_seconds = jump
        with structlog.testing.capture_logs() as lines:
            machine.run(600)
        assert [line["event"] for line in lines] == ["clock.set_forward"]
        machine.set_by_seconds = 0
        machine.run(600)
        assert machine.revocations.is_revoked(machine.token)


def test_clk_01_a_clock_that_stays_is_believed() -> None:
    """CLK-01: a machine that slept, or was set right, forgets again after an hour."""
    machine = Machine()
    machine.revoke()
    machine.set_by_seconds = 24 * HOUR_SECONDS
    with structlog.testing.capture_logs():
        machine.run(DOUBT_SECONDS + 120)
    assert len(machine.revocations) == 0


def test_clk_01_set_back() -> None:
    """CLK-01: a clock that was set back an hour keeps everything that long."""
    machine = Machine()
    machine.revoke()
    machine.set_by_seconds = -HOUR_SECONDS
    machine.run(HOUR_SECONDS + 120)
    assert machine.revocations.is_revoked(machine.token)
