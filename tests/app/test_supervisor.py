"""How long a supervisor waits before it starts a worker again."""

from __future__ import annotations

from authserver.app.supervisor import restart_delay_seconds


def test_restarts_come_later_and_later() -> None:
    """A worker that does not last is started again after a quarter of a second, then doubling up to ten."""
    delays = [restart_delay_seconds(failures) for failures in range(1, 200)]
    assert delays[:7] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0]
    assert set(delays[6:]) == {10.0}
