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

import httpx2
import pytest

from tests.redis_server import wait_for
from tests.token_client.scripted_server import Reply, ScriptedServer, Seen


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
