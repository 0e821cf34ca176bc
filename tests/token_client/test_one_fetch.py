"""One fetch for all who need a token: threads, tasks, event loops, in any mixture."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx2
import pytest
import requests

from authserver.token_client import TokenUnavailable
from tests.redis_server import wait_for
from tests.token_client.scripted_server import Reply, ScriptedServer, Seen

CALLERS = 40


@contextmanager
def held_back(scripted: ScriptedServer) -> Iterator[threading.Event]:
    """Let the token endpoint wait for the event; it is set when the block is left."""
    go = threading.Event()

    def issue(_: Seen) -> Reply:
        go.wait(10)
        return scripted.next_token()

    scripted.issue = issue
    try:
        yield go
    finally:
        go.set()


def test_nothing_is_sent_before_the_first_use(scripted: ScriptedServer) -> None:
    """To make the object costs no request; to use it twice costs one."""
    credentials = scripted.credentials()
    assert scripted.seen == []
    assert credentials.token() == credentials.token()
    assert len(scripted.token_requests) == 1


def test_many_threads_cause_one_fetch(scripted: ScriptedServer) -> None:
    """All threads wait for the one token request, and all send its token."""
    with (
        httpx2.Client(auth=scripted.credentials()) as client,
        ThreadPoolExecutor(CALLERS) as pool,
        held_back(scripted) as go,
    ):
        answers = [pool.submit(client.get, scripted.url) for _ in range(CALLERS)]
        wait_for(lambda: len(scripted.token_requests) == 1, "the token request")
        go.set()
        assert [answer.result().status_code for answer in answers] == [200] * CALLERS
    assert len(scripted.token_requests) == 1
    assert {seen.bearer for seen in scripted.resource_requests} == {"token-1"}


def test_many_tasks_cause_one_fetch(scripted: ScriptedServer) -> None:
    """The same for the tasks of an event loop."""

    async def run() -> list[int]:
        async with httpx2.AsyncClient(auth=scripted.credentials()) as client:
            answers = await asyncio.gather(*(client.get(scripted.url) for _ in range(CALLERS)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(run()) == [200] * CALLERS
    assert len(scripted.token_requests) == 1
    assert {seen.bearer for seen in scripted.resource_requests} == {"token-1"}


def test_threads_and_loops_in_any_mixture_cause_one_fetch(scripted: ScriptedServer) -> None:
    """Sync and async clients of httpx2 and a session of requests share one object and one token."""
    credentials = scripted.credentials()

    async def some_tasks() -> None:
        async with httpx2.AsyncClient(auth=credentials) as client:
            await asyncio.gather(*(client.get(scripted.url) for _ in range(5)))

    def by_requests() -> None:
        with requests.Session() as session:
            session.auth = credentials
            session.get(scripted.url, timeout=10)

    with ThreadPoolExecutor(CALLERS) as pool, held_back(scripted) as go:
        work = [pool.submit(asyncio.run, some_tasks()) for _ in range(4)]
        work += [pool.submit(by_requests) for _ in range(4)]
        wait_for(lambda: len(scripted.token_requests) == 1, "the token request")
        go.set()
        for done in work:
            done.result()
    assert len(scripted.token_requests) == 1
    assert len(scripted.resource_requests) == 4 * 5 + 4


def test_one_object_outlives_event_loops(scripted: ScriptedServer) -> None:
    """`asyncio.run` twice, and sync in between: nothing is tied to the first loop."""
    credentials = scripted.credentials()
    first = asyncio.run(credentials.token_async())
    assert credentials.token() == first
    assert asyncio.run(credentials.token_async()) == first
    assert len(scripted.token_requests) == 1


def test_a_cancelled_task_takes_nobodys_token_away(scripted: ScriptedServer) -> None:
    """The task that came first is cancelled; the one that waits with it gets the token of the same fetch."""

    async def run(go: threading.Event) -> str:
        credentials = scripted.credentials()
        first, second = (asyncio.create_task(credentials.token_async()) for _ in range(2))
        await asyncio.to_thread(wait_for, lambda: len(scripted.token_requests) == 1, "the token request")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go.set()
        return (await second).access_token

    with held_back(scripted) as go:
        assert asyncio.run(run(go)) == "token-1"
    assert len(scripted.token_requests) == 1


def test_a_blocking_call_inside_a_loop_does_not_lock_up(scripted: ScriptedServer) -> None:
    """A sync caller on the loop's own thread gets the token for which a task of the same loop waits."""

    async def run(go: threading.Event) -> tuple[str, str]:
        credentials = scripted.credentials()
        task = asyncio.create_task(credentials.token_async())
        await asyncio.to_thread(wait_for, lambda: len(scripted.token_requests) == 1, "the token request")
        go.set()
        blocking = credentials.token().access_token
        return blocking, (await task).access_token

    with held_back(scripted) as go:
        assert asyncio.run(run(go)) == ("token-1", "token-1")


def test_a_failed_fetch_is_one_fetch_too(scripted: ScriptedServer) -> None:
    """Many threads hear of one failure, each by an exception of its own, and none asks again at once."""
    scripted.issue = lambda _: Reply(503, b"", {"Retry-After": "30"})
    credentials = scripted.credentials()

    def refused(_: int) -> TokenUnavailable:
        with pytest.raises(TokenUnavailable) as caught:
            credentials.token()
        return caught.value

    with ThreadPoolExecutor(CALLERS) as pool:
        errors = list(pool.map(refused, range(CALLERS)))
    assert len(scripted.token_requests) == 1
    assert len({id(error) for error in errors}) == CALLERS
