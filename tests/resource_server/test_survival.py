"""What might end a verifier in the middle of its work: logs that break, threads that die, signals."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from authserver.resource_server import CannotVerify, InvalidToken, engine
from authserver.resource_server.check import TokenCheck
from authserver.resource_server.revocations import FeedPage
from tests.redis_server import wait_for
from tests.resource_server.scripted import FEED, Scripted, answer, scripted
from tests.resource_server.test_feed import is_refused, revoke


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Run a scripted server."""
    with scripted() as running:
        yield running


def test_a_log_handler_that_breaks_ends_nothing(server: Scripted) -> None:
    """Whatever it raises, at the worst moment: the feed is followed again once it is back."""
    token = server.issuer.mint()

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
            raise OSError("the log collector is away")

    logger, broken = logging.getLogger("authserver.resource_server"), Broken()
    with server.verifier() as verifier:
        logger.addHandler(broken)
        try:
            server.answers[FEED] = answer(500, {})
            wait_for(lambda: verifier.status().feed_failures > 2, "failures that are logged")
        finally:
            logger.removeHandler(broken)
        del server.answers[FEED]
        revoke(server, token)
        wait_for(lambda: is_refused(verifier, token), "the revocation", seconds=10)


def test_what_should_not_happen_is_told_each_time(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the place where it did, and again when it happens again after a time that went well."""
    monkeypatch.setattr(engine, "_PAUSE_SECONDS", 0.05)
    take = TokenCheck.take

    def unexpected(self: TokenCheck, page: FeedPage, *, asked_at: float) -> None:
        take(self, page, asked_at=asked_at)
        if page.entries:
            raise LookupError

    monkeypatch.setattr(TokenCheck, "take", unexpected)
    with server.verifier() as verifier:
        for number in (1, 2):
            token = server.issuer.mint()
            revoke(server, token)
            wait_for(lambda number=number: len(_starting_again(caplog)) == number, f"message {number}")  # type: ignore[misc]
            assert is_refused(verifier, token)
    assert all(record.exc_info for record in _starting_again(caplog))


def _starting_again(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if "starts again" in record.getMessage()]


def test_where_no_event_loop_can_run(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Gevent's threads share one: each check is refused with the reason, and the log has it once."""

    def refuse(work: Any) -> None:
        work.close()
        raise RuntimeError("asyncio.run() cannot be called from a running event loop")

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "run", refuse)
        verifier = server.verifier()
        for _ in range(3):
            with pytest.raises(CannotVerify, match="a running event loop"):
                verifier.verify(server.issuer.mint())
    (told,) = caplog.messages
    assert told.startswith("the verifier cannot start: no event loop can be started: asyncio.run()")
    assert verifier.verify(server.issuer.mint())
    verifier.close()


def test_a_quiet_log(server: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    """What httpx2 tells of each request of ours is left out, that of others is not."""
    caplog.set_level(logging.INFO)
    with server.verifier() as verifier:
        assert verifier.verify(server.issuer.mint())
        assert [record for record in caplog.records if record.name == "httpx2"] == []
        httpx2.get(f"{server.url}/jwks")
    assert [record.name for record in caplog.records] == ["httpx2"]


def test_a_thread_that_has_died_is_followed_by_another(server: Scripted) -> None:
    """Should it ever end by itself: nobody is let in or out by what it knew, and the next check starts anew."""
    with server.verifier() as verifier:
        assert verifier.verify(server.issuer.mint())
        worker = verifier._engine._worker or pytest.fail("not started")
        worker.end()
        assert worker.is_dead
        unknown = server.issuer.mint(server.issuer.header(kid="unknown"))
        with pytest.raises(InvalidToken):
            verifier.verify(unknown)
        assert verifier._engine._worker is not worker


SIGNALS = """
import contextlib, random, signal, sys, threading, time
from authserver.resource_server import CannotVerify, ThreadVerifier

def interrupt(*_):
    raise InterruptedError

for number in range(60):
    verifier = ThreadVerifier.from_config(sys.argv[1], client_id="rs", client_secret="secret")
    signal.signal(signal.SIGALRM, interrupt if number % 2 else lambda *_: verifier.close())
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0003, 0.004))
    with contextlib.suppress(InterruptedError, CannotVerify):
        verifier.verify(sys.argv[2])
        time.sleep(0.01)
    signal.setitimer(signal.ITIMER_REAL, 0)
    verifier.close()
deadline = time.monotonic() + 10
while time.monotonic() < deadline and threading.active_count() > 1:
    time.sleep(0.01)
print("left:", threading.active_count() - 1)
"""


def test_a_signal_during_the_start(server: Scripted) -> None:
    """Whether its handler closes the verifier or raises, nothing is locked up and no thread is left."""
    command = [sys.executable, "-c", SIGNALS, f"{server.url}/config", server.issuer.mint()]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (child.returncode, child.stdout) == (0, "left: 0\n"), child.stderr
