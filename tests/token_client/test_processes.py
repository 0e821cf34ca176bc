"""The life of the object: forks, and `with` blocks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import httpx2
import pytest

from authserver.token_client import ClientCredentials, TokenUnavailable
from tests.redis_server import wait_for
from tests.token_client.scripted_server import SECRET, Reply, ScriptedServer, Seen, travel


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked child; return its exit code, 0 when nothing was raised."""
    pid = os.fork()
    if pid == 0:
        code = 1
        signal.alarm(30)  # a child that waits for ever is a failure too
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - the child must not run the parent's tests
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # that is the case in question
def test_a_child_goes_on_with_the_token(scripted: ScriptedServer) -> None:
    """A worker that forks after the first fetch sends the parent's token, with a moment of renewal of its own."""
    credentials = scripted.credentials()
    token = credentials.token()
    jitter = credentials._keeper._held.jitter

    def work() -> None:
        assert credentials.token() == token
        assert credentials._keeper._held.jitter != jitter
        with httpx2.Client(auth=credentials) as client:
            assert client.get(scripted.url).status_code == 200

    assert in_child(work) == 0
    assert len(scripted.token_requests) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # that is the case in question
def test_a_child_forked_during_a_fetch_fetches_by_itself(scripted: ScriptedServer) -> None:
    """The parent's thread and its lock do not exist in the child: it neither waits for them nor needs them."""
    go = threading.Event()
    credentials = scripted.credentials()

    def issue(_: Seen) -> Reply:
        if len(scripted.token_requests) == 1:
            go.wait(10)
        return scripted.next_token()

    scripted.issue = issue
    waiting = threading.Thread(target=credentials.token)
    waiting.start()
    wait_for(lambda: len(scripted.token_requests) == 1, "the parent's request")
    with credentials._keeper._lock:  # as if a thread of the parent were at it
        code = in_child(lambda: print(credentials.token()))
    go.set()
    waiting.join()
    assert code == 0
    assert len(scripted.token_requests) == 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # that is the case in question
def test_a_child_fetches_though_the_parents_fetches_hang(scripted: ScriptedServer) -> None:
    """The parent has as many fetches that hang as may be; they are none of the child's."""
    go = threading.Event()
    parent = os.getpid()

    def secret() -> str:
        if os.getpid() == parent:
            go.wait(30)
        return SECRET

    credentials = scripted.credentials(client_secret=secret, timeout_seconds=0.2)
    for _ in range(3):
        with pytest.raises(TokenUnavailable, match="in time"):
            credentials.token()
        travel(credentials, 61)  # past any backoff

    def work() -> None:
        credentials._keeper._timeout_ms = 10_000  # enough for a machine that is busy
        assert credentials.token().access_token == "token-1"

    try:
        assert in_child(work) == 0
        with pytest.raises(TokenUnavailable, match="earlier fetches still hang"):
            credentials.token()
    finally:
        go.set()
    assert len(scripted.token_requests) == 1


def test_a_block_ends_with_the_token_forgotten(scripted: ScriptedServer) -> None:
    """`with` waits for what is under way and leaves nothing behind; a later use begins anew."""
    with scripted.credentials() as credentials:
        assert credentials.token().access_token == "token-1"
    assert credentials.token().access_token == "token-2"


def test_an_async_block_ends_with_the_token_forgotten(scripted: ScriptedServer) -> None:
    """`async with` does the same."""

    async def run() -> list[str]:
        async with scripted.credentials() as credentials:
            first = await credentials.token_async()
        return [first.access_token, (await credentials.token_async()).access_token]

    assert asyncio.run(run()) == ["token-1", "token-2"]


@pytest.mark.parametrize("status", [429, 503])
def test_the_end_of_a_block_does_not_forget_when_the_server_may_be_asked(scripted: ScriptedServer, status: int) -> None:
    """A block for each job leaves a server that is busy alone as long as it asks for, sync or async."""
    scripted.issue = lambda _: Reply(status, b"", {"Retry-After": "60"})
    credentials = scripted.credentials()

    async def job() -> None:
        async with credentials:
            await credentials.token_async()

    for _ in range(3):
        with pytest.raises(TokenUnavailable, match=str(status)) as caught, credentials:
            credentials.token()
        assert (caught.value.retry_after_seconds or 0) > 20
        with pytest.raises(TokenUnavailable, match=str(status)):
            asyncio.run(job())
        travel(credentials, 10)
    assert len(scripted.token_requests) == 1
    scripted.issue = lambda _: scripted.next_token()
    travel(credentials, 37)
    with credentials:
        assert credentials.token().access_token == "token-1"


def test_the_end_of_a_block_does_not_forget_that_a_server_is_away(scripted: ScriptedServer) -> None:
    """The pauses between two tries grow from block to block."""
    scripted.issue = lambda _: Reply(500)
    credentials = scripted.credentials()
    for _ in range(8):
        with pytest.raises(TokenUnavailable) as caught, credentials:
            credentials.token()
        travel(credentials, caught.value.retry_after_seconds or 0)
    assert len(scripted.token_requests) == 8
    assert (caught.value.retry_after_seconds or 0) > 20


def test_the_end_of_a_block_waits_for_a_renewal(scripted: ScriptedServer) -> None:
    """No thread is left at work when the block is left, sync or async."""
    before = threading.active_count()
    go = threading.Event()

    def issue(_: Seen) -> Reply:
        go.wait(10)
        return scripted.next_token()

    scripted.issue = issue
    with scripted.credentials() as credentials:
        waiting = threading.Thread(target=credentials.token)
        waiting.start()
        wait_for(lambda: len(scripted.token_requests) == 1, "the request")
        go.set()
    waiting.join()
    wait_for(lambda: "token-fetch" not in {thread.name for thread in threading.enumerate()}, "the end of the thread")
    assert threading.active_count() <= before + 2  # the scripted server's own


async def close_by_task(credentials: ClientCredentials) -> None:
    """Close as a task does."""
    await credentials.aclose()


@pytest.mark.parametrize(
    "close", [ClientCredentials.close, lambda credentials: asyncio.run(close_by_task(credentials))]
)
def test_what_a_fetch_under_way_brings_is_forgotten_too(
    scripted: ScriptedServer, close: Callable[[ClientCredentials], None]
) -> None:
    """Whoever waits for it still gets the token; later uses begin anew."""
    go = threading.Event()

    def issue(_: Seen) -> Reply:
        go.wait(10)
        return scripted.next_token()

    scripted.issue = issue
    credentials = scripted.credentials()
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(credentials.token)
        wait_for(lambda: len(scripted.token_requests) == 1, "the request")
        closing = pool.submit(close, credentials)
        assert not wait([closing], timeout=0.2).done
        go.set()
        closing.result()
        assert waiting.result().access_token == "token-1"
    assert credentials.token().access_token == "token-2"


def test_requests_is_not_needed(scripted: ScriptedServer) -> None:
    """Where it is not installed the package works with httpx2."""
    program = f"""
import sys
sys.modules["requests"] = None
import httpx2
from authserver.token_client import ClientCredentials
auth = ClientCredentials(client_id="billing", client_secret="s", token_endpoint="{scripted.url}/token")
with httpx2.Client(auth=auth) as client:
    assert client.get("{scripted.url}").status_code == 200
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
    assert len(scripted.seen) == 2
