"""How signals lead a process through the stages of stopping."""

from __future__ import annotations

import signal

import pytest

from authserver.wire.stopping import Stage, Stop

TERM, INT = signal.SIGTERM, signal.SIGINT
DRAINING, CLOSING, LEAVING = Stage.DRAINING, Stage.CLOSING, Stage.LEAVING


@pytest.mark.parametrize(
    ("delay_seconds", "supervised", "signals", "stages"),
    [
        (5, False, [TERM, TERM, TERM], [DRAINING, CLOSING, CLOSING]),
        (5, False, [TERM, INT, INT], [DRAINING, CLOSING, LEAVING]),
        (5, False, [INT, TERM, INT], [CLOSING, CLOSING, LEAVING]),
        (0, False, [TERM, TERM, INT], [CLOSING, CLOSING, LEAVING]),
        (5, True, [TERM, TERM, TERM], [DRAINING, DRAINING, DRAINING]),
        (5, True, [TERM, INT, INT], [DRAINING, CLOSING, LEAVING]),
        (0, True, [TERM, TERM], [CLOSING, CLOSING]),
    ],
)
def test_stages(
    *,
    delay_seconds: int,
    supervised: bool,
    signals: list[int],
    stages: list[Stage],
) -> None:
    """Only a second SIGTERM to a process of its own, or SIGINT, ends the delay; only a second SIGINT drops requests."""
    stop = Stop(delay_seconds=delay_seconds, supervised=supervised)
    assert [stop.signalled(number) for number in signals] == stages
