"""What a log handler may do to those who need a token: be slow, break, ask for a token itself."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from authserver.token_client import ClientCredentials, TokenError, TokenUnavailable
from tests.redis_server import wait_for
from tests.token_client.scripted_server import Reply, ScriptedServer, travel

LOGGER = "authserver.token_client"


class Handler(logging.Handler):
    """Calls a function for each record, and keeps the names of the threads in which that was."""

    def __init__(self, emit: Callable[[], object]) -> None:
        super().__init__()
        self._emit = emit
        self.threads: list[str] = []

    def emit(self, _: logging.LogRecord) -> None:
        """Call the function."""
        self.threads.append(threading.current_thread().name)
        self._emit()


@contextmanager
def handled(emit: Callable[[], object], logger: str = LOGGER) -> Iterator[Handler]:
    """Let `emit` be called for all that the logger says, until the block is left."""
    handler = Handler(emit)
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    try:
        yield handler
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


@pytest.fixture
def go() -> Iterator[threading.Event]:
    """Yield an event for which servers and handlers wait; it is set at the end."""
    event = threading.Event()
    yield event
    event.set()
    wait_for(lambda: "token-fetch" not in {thread.name for thread in threading.enumerate()}, "the last fetch to end")


def busy(_: object) -> Reply:
    """Answer that the server is busy for two minutes."""
    return Reply(503, b"", {"Retry-After": "120"})


def by_thread(credentials: ClientCredentials) -> str:
    """Ask as a thread."""
    return credentials.token().access_token


def by_task(credentials: ClientCredentials) -> str:
    """Ask as a task."""
    return asyncio.run(credentials.token_async()).access_token


def outcome(ask: Callable[[ClientCredentials], str], credentials: ClientCredentials) -> str:
    """Return the token, or why there is none; fail when neither comes."""
    said: list[str] = []

    def run() -> None:
        try:
            said.append(ask(credentials))
        except TokenError as error:
            said.append(error.reason)

    threading.Thread(target=run, daemon=True).start()
    wait_for(lambda: bool(said), "a token, or an error")
    return said[0]


@pytest.mark.parametrize("ask", [by_thread, by_task])
@pytest.mark.parametrize("again", [by_thread, by_task])
def test_a_handler_may_ask_for_a_token(
    scripted: ScriptedServer,
    go: threading.Event,
    ask: Callable[[ClientCredentials], str],
    again: Callable[[ClientCredentials], str],
) -> None:
    """Of the same credentials: it hears what the others hear, of a server that hangs, is busy, and works."""
    credentials = scripted.credentials(timeout_seconds=1)
    heard: list[str] = []

    def listen() -> None:
        try:
            heard.append(again(credentials))
        except TokenError as error:
            heard.append(error.reason)

    def hang(_: object) -> Reply:
        go.wait(10)
        return Reply(500)

    with handled(listen):
        for issue, expected in [
            (hang, "the authorization server did not answer in time"),
            (busy, "the token endpoint answered 503"),
            (lambda _: scripted.next_token(), "token-1"),
        ]:
            scripted.issue = issue
            before = len(heard)
            assert outcome(ask, credentials) == expected
            wait_for(lambda before=before: len(heard) > before, "the handler")  # type: ignore[misc]
            assert heard[-1] == expected
            travel(credentials, 133)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_slow_handler_stops_no_event_loop(scripted: ScriptedServer, go: threading.Event, *, hangs: bool) -> None:
    """While it is at it tasks hear of a server that is busy, or hangs, and the next ones get a token."""
    credentials = scripted.credentials(timeout_seconds=1)

    def issue(seen: object) -> Reply:
        if hangs:
            go.wait(10)
        return busy(seen)

    async def run() -> str:
        with pytest.raises(TokenUnavailable):
            await credentials.token_async()
        await asyncio.to_thread(wait_for, lambda: bool(handler.threads), "the handler")
        with pytest.raises(TokenUnavailable):
            await credentials.token_async()
        scripted.issue = lambda _: scripted.next_token()
        travel(credentials, 133)
        return (await credentials.token_async()).access_token

    scripted.issue = issue
    with handled(lambda: go.wait(30)) as handler:
        assert outcome(lambda _: asyncio.run(run()), credentials) == "token-1"
        assert not go.is_set()
        assert set(handler.threads) <= {"token-fetch", "token-log"}
        assert len(handler.threads) == 1, "others wait for their turn, without a thread"
        go.set()
        wait_for(lambda: len(handler.threads) > 1, "what was said next")


@pytest.mark.parametrize("ask", [by_thread, by_task])
@pytest.mark.parametrize("hangs", [False, True])
def test_a_handler_that_breaks_takes_nobodys_token_away(
    scripted: ScriptedServer, go: threading.Event, ask: Callable[[ClientCredentials], str], *, hangs: bool
) -> None:
    """Those who wait hear of the server, not of the handler, and the next ones get a token."""
    credentials = scripted.credentials(timeout_seconds=1)

    def issue(seen: object) -> Reply:
        if hangs:
            go.wait(10)
        return busy(seen)

    def emit() -> None:
        raise RuntimeError("the disk is full")

    scripted.issue = issue
    with handled(emit) as handler:
        assert outcome(ask, credentials) == (
            "the authorization server did not answer in time" if hangs else "the token endpoint answered 503"
        )
        scripted.issue = lambda _: scripted.next_token()
        travel(credentials, 133)
        assert outcome(ask, credentials) == "token-1"
        wait_for(lambda: len(handler.threads) == 2, "both messages")


@pytest.mark.parametrize("again", [by_thread, by_task])
def test_a_handler_of_the_http_client_does_not_wait_for_the_fetch_in_which_it_is(
    scripted: ScriptedServer, again: Callable[[ClientCredentials], str]
) -> None:
    """It is told at once that there is no token yet; so the fetch succeeds, and the next records get the token."""
    credentials = scripted.credentials()
    heard: list[str] = []

    def listen() -> None:
        with suppress(TokenUnavailable):
            heard.append(again(credentials))

    with handled(listen, "httpx2") as handler:
        assert outcome(by_thread, credentials) == "token-1"
        assert handler.threads == ["token-fetch"]
        assert heard == []
        logging.getLogger("httpx2").info("something else")
        assert heard == ["token-1"]
    assert len(scripted.token_requests) == 1
