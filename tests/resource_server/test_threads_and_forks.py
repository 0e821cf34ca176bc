"""RS-14: one verifier in many threads, in several event loops, across forks, and at the end of its process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from authserver.resource_server import CannotVerify, InvalidToken, ThreadVerifier, Verifier
from tests.redis_server import wait_for
from tests.resource_server.scripted import CREDENTIALS, FEED, INTROSPECT, JWKS, Scripted, scripted
from tests.resource_server.test_feed import is_refused, revoke


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Run a scripted server."""
    with scripted() as running:
        yield running


def in_child(check: Callable[[], None]) -> int:
    """Fork; return the process id of a child that runs `check` and says by its exit code whether that went well."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        check()
        code = 0
    finally:
        os._exit(code)


def assert_ends_well(*children: int) -> None:
    """Wait for children, at most ten seconds each: one that hangs is killed and fails the test."""
    for child in children:
        deadline = time.monotonic() + 10
        done, status = os.waitpid(child, os.WNOHANG)
        while not done and time.monotonic() < deadline:
            time.sleep(0.01)
            done, status = os.waitpid(child, os.WNOHANG)
        if not done:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("a child hangs")
        assert os.waitstatus_to_exitcode(status) == 0


def test_rs_14_many_threads(server: Scripted) -> None:
    """RS-14: forty threads whose checks all come first share one start; each finds out about a revocation."""
    tokens = [server.issuer.mint() for _ in range(40)]
    verifier = server.verifier()
    with contextlib.closing(verifier), ThreadPoolExecutor(40) as pool:
        assert [token.client_id for token in pool.map(verifier.verify, tokens)] == ["cl_1"] * 40
        assert server.count(JWKS) == 1
        for token in tokens:
            revoke(server, token)
        wait_for(lambda: all(pool.map(lambda token: is_refused(verifier, token), tokens)), "the revocations", 5)


def test_rs_14_several_event_loops(server: Scripted) -> None:
    """RS-14: one verifier serves one loop after the other, with and without a start of its own, and two at once."""
    token = server.issuer.mint()
    verifier = Verifier.from_config(server.document(), **CREDENTIALS)

    async def plainly() -> str:
        return (await verifier.verify(token)).client_id

    async def entered() -> str:
        async with verifier:
            return await plainly()

    assert [asyncio.run(plainly()), asyncio.run(plainly())] == ["cl_1"] * 2
    assert [asyncio.run(entered()), asyncio.run(entered())] == ["cl_1"] * 2
    with pytest.raises(CannotVerify, match="closed"):
        asyncio.run(plainly())
    verifier._engine.open()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: asyncio.run(plainly()), range(8))) == ["cl_1"] * 8
    verifier._engine.close()


def test_a_check_that_is_cancelled_leaves_the_others(server: Scripted) -> None:
    """A caller that gives up in the middle of a fetch is cancelled, and nobody else is."""
    held = threading.Event()
    server.answers[INTROSPECT] = lambda _: hold(held)
    verifier = Verifier.from_config(server.document(), **CREDENTIALS, introspection="foreign")

    async def run() -> None:
        async with verifier:
            waiting = asyncio.create_task(verifier.verify("opaque"))
            await asyncio.sleep(0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await verifier.verify(server.issuer.mint())

    asyncio.run(run())
    held.set()


@pytest.mark.parametrize("is_running", [True, False])
def test_rs_14_after_a_fork(server: Scripted, *, is_running: bool) -> None:
    """RS-14: parent and children follow on connections of their own, whether or not it ran before the fork."""
    good, revoked = server.issuer.mint(), server.issuer.mint()
    verifier = server.verifier()

    def serve() -> None:
        assert verifier.verify(good)
        gc.collect()
        assert verifier.verify(revoked)
        ready.write(b".")
        wait_for(lambda: is_refused(verifier, revoked), "the revocation in the child", 5)
        assert verifier.verify(good)
        verifier.close()
        gc.collect()

    reading, writing = os.pipe()
    with contextlib.closing(verifier), open(reading, "rb") as heard, open(writing, "wb", buffering=0) as ready:  # noqa: PTH123 - a pipe
        if is_running:
            assert verifier.verify(good)
        children = [in_child(serve) for _ in range(3)]
        assert heard.read(3) == b"..."
        assert verifier.verify(good)
        revoke(server, revoked)
        wait_for(lambda: is_refused(verifier, revoked), "the revocation in the parent", 5)
        assert_ends_well(*children)
        later = server.issuer.mint()
        revoke(server, later)
        wait_for(lambda: is_refused(verifier, later), "a revocation after the children's end", 5)


def test_rs_14_a_fork_while_threads_verify(server: Scripted) -> None:
    """RS-14: children that are forked in the middle of other threads' checks and the feed's news do not hang."""
    verifier, ended = server.verifier(), threading.Event()

    def keep_on() -> None:
        while not ended.is_set():
            assert verifier.verify(server.issuer.mint())
            revoke(server, server.issuer.mint())
            time.sleep(0.005)

    token = server.issuer.mint()
    with contextlib.closing(verifier), ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(keep_on) for _ in range(2)]
        try:
            for _ in range(5):
                assert_ends_well(in_child(lambda: assert_good(verifier, token)))
        finally:
            ended.set()
        assert [one.result() for one in busy] == [None, None]


def hold(event: threading.Event) -> None:
    """Give no answer before a test has ended."""
    event.wait(5)


def assert_good(verifier: ThreadVerifier, token: str) -> None:
    """Verify."""
    assert verifier.verify(token).client_id == "cl_1"


def test_nothing_is_verified_after_a_close(server: Scripted) -> None:
    """A closed verifier says so, at once, in parent and child; it can be opened again."""
    token = server.issuer.mint()
    cases: list[dict[str, Any]] = [{}, {"follow_revocations": False}, {"introspection": "always"}]
    for options in cases:
        verifier = server.verifier(**options)
        if "introspection" not in options:
            verifier.verify(token)
        for _ in range(2):
            verifier.close()
            started = time.monotonic()
            for text in (token, "nonsense", server.issuer.mint()):
                with pytest.raises(CannotVerify, match="closed"):
                    verifier.verify(text)
            assert time.monotonic() - started < 1
            assert not verifier.status().ready
        verifier._engine.start()
        with pytest.raises(CannotVerify):
            verifier.verify(token)
        if "introspection" not in options:
            with verifier:
                assert verifier.verify(token)


def test_a_close_ends_what_waits(server: Scripted) -> None:
    """Checks that wait for an answer when the verifier is closed are refused with 503, in threads and in asyncio."""
    held = threading.Event()
    server.answers[INTROSPECT] = server.answers[JWKS] = lambda _: hold(held)
    cases: list[dict[str, Any]] = [{"introspection": "always"}, {}]
    for options in cases:
        threads = server.verifier(timeout_seconds=5, **options)
        looped = Verifier.from_config(server.document(), **CREDENTIALS, **options)
        with ThreadPoolExecutor(10) as pool:
            waiting = [pool.submit(threads.verify, "a.b.c") for _ in range(4)]
            waiting += [pool.submit(asyncio.run, looped.verify("a.b.c")) for _ in range(4)]
            wait_for(lambda: server.count(FEED) >= 2, "the start of both")
            time.sleep(0.3)
            started = time.monotonic()
            threads.close()
            looped._engine.close()
            for one in waiting:
                with pytest.raises(CannotVerify):
                    one.result(5)
            assert time.monotonic() - started < 3
        server.asked.clear()
    held.set()


def test_closes_and_starts_in_a_race(server: Scripted) -> None:
    """Whoever starts, closes and verifies at once, nobody hangs, and no thread is left behind."""
    verifier, token = server.verifier(), server.issuer.mint()
    ended = threading.Event()

    def keep_on(act: Callable[[], Any]) -> None:
        while not ended.is_set():
            with contextlib.suppress(CannotVerify):
                act()

    acts: list[Callable[[], Any]] = [
        *(verifier._engine.open, verifier._engine.open, verifier.close, verifier.close),
        *[lambda: verifier.verify(token)] * 4,
    ]
    with ThreadPoolExecutor(len(acts)) as pool:
        running = [pool.submit(keep_on, act) for act in acts]
        time.sleep(1.5)
        ended.set()
        assert [one.result(15) for one in running] == [None] * len(acts)
    verifier.close()
    wait_for(
        lambda: not any(thread.name == "authserver-verifier" for thread in threading.enumerate()), "the end of all"
    )
    with verifier:
        assert verifier.verify(token)


LAST_WORDS = """
import sys, threading
from authserver.resource_server import ThreadVerifier, InvalidToken
verifier = ThreadVerifier.from_config(sys.argv[1], client_id="cl_rs", client_secret="s", timeout_seconds=1)
how = sys.argv[3]
if how == "thread":
    threading.Thread(target=lambda: verifier.verify(sys.argv[2])).start()
elif how == "atexit":
    import atexit
    def late():
        try:
            verifier.verify(sys.argv[2])
        except Exception as error:
            print(type(error).__name__)
    atexit.register(late)
    verifier.verify(sys.argv[2])
else:
    print(verifier.verify(sys.argv[2]).client_id)
if how == "error":
    raise SystemExit(3)
"""


@pytest.mark.parametrize("how", ["plain", "thread", "atexit", "error"])
def test_the_interpreter_ends_in_silence(server: Scripted, how: str) -> None:
    """A verifier that nobody closed keeps no process alive, and writes nothing to stderr at its end."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        LAST_WORDS,
        f"{server.url}/config",
        server.issuer.mint(),
    ]
    children = [subprocess.Popen([*command, how], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for child in children:
        output, errors = child.communicate(timeout=30)
        assert errors == b""
        assert child.returncode == (3 if how == "error" else 0)
        assert output == {"thread": b"", "atexit": b"CannotVerify\n"}.get(how, b"cl_1\n")


def test_no_thread_to_be_had(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may start no more threads answers 503, and works again when it may."""
    verifier = server.verifier()

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with contextlib.closing(verifier):
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(CannotVerify):
                verifier.start()
            with pytest.raises(CannotVerify):
                verifier.verify(server.issuer.mint())
        assert verifier.verify(server.issuer.mint())
        with pytest.raises(InvalidToken):
            verifier.verify("nonsense")
