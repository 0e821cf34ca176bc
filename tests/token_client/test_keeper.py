"""What a fetch may do to those who wait for it: hang, break, or not even begin."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from authserver.token_client import Token, TokenUnavailable
from authserver.token_client.access_token import elapsed_ms
from authserver.token_client.keeper import Keeper
from tests.redis_server import wait_for

HOUR_MS = 3_600_000


@pytest.fixture
def hanging() -> Iterator[Keeper]:
    """Yield a keeper whose first fetch hangs where no timeout reaches, such as a name server."""
    never = threading.Event()
    calls: list[int] = []

    def fetch(asked_at_ms: int) -> Token:
        calls.append(asked_at_ms)
        number = len(calls)
        if number == 1:
            never.wait(30)
        return Token(f"token-{number}", asked_at_ms, HOUR_MS)

    yield Keeper(fetch, timeout_seconds=0.2)
    never.set()


def by_thread(keeper: Keeper) -> Token:
    """Ask as a thread."""
    return keeper.token()


def by_task(keeper: Keeper) -> Token:
    """Ask as a task."""
    return asyncio.run(keeper.token_async())


@pytest.mark.parametrize("ask", [by_thread, by_task])
def test_a_fetch_that_never_ends_does_not_stand_in_the_way(hanging: Keeper, ask: Callable[[Keeper], Token]) -> None:
    """It is given up, another one begins, and what it brings at last is dropped."""
    with pytest.raises(TokenUnavailable, match="in time") as caught:
        ask(hanging)
    assert caught.value.retry_after_seconds == 1
    wait_for(lambda: hanging._held.retry_at_ms <= hanging._clock(), "the end of the pause")
    assert ask(hanging).access_token == "token-2"


def test_a_fetch_for_which_nobody_waits_is_given_up_too(hanging: Keeper) -> None:
    """The next caller finds it overdue."""
    hanging.replace(Token("rejected", 0, HOUR_MS))
    flight = hanging._flight
    assert flight is not None
    wait_for(lambda: hanging._clock() >= flight.ends_at_ms, "its deadline")
    with pytest.raises(TokenUnavailable, match="in time"):
        hanging.token()


@pytest.mark.parametrize("error", [RuntimeError("s3cret"), SystemExit(1)])
@pytest.mark.parametrize("ask", [by_thread, by_task])
def test_an_unexpected_error_reaches_those_who_wait(error: BaseException, ask: Callable[[Keeper], Token]) -> None:
    """By its type alone: its text may hold anything."""

    def fetch(_: int) -> Token:
        raise error

    with pytest.raises(TokenUnavailable, match=type(error).__name__) as caught:
        ask(Keeper(fetch, timeout_seconds=5))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("ask", [by_thread, by_task])
def test_a_process_without_room_for_a_thread_hears_of_it(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[Keeper], Token]
) -> None:
    """As at the end of the interpreter: an error, never a wait."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    keeper = Keeper(lambda now: Token("token", now, HOUR_MS), timeout_seconds=5)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(TokenUnavailable, match="thread"):
            ask(keeper)
    wait_for(lambda: keeper._held.retry_at_ms <= keeper._clock(), "the end of the pause")
    assert ask(keeper).access_token == "token"


def test_no_more_than_three_fetches_hang_at_once() -> None:
    """Beyond them a fetch fails at once, without a thread; when one of them ends there is room again."""
    ends = [threading.Event() for _ in range(3)]
    threads: list[threading.Thread] = []

    def fetch(asked_at_ms: int) -> Token:
        threads.append(threading.current_thread())
        if len(threads) <= len(ends):
            ends[len(threads) - 1].wait(30)
        return Token(f"token-{len(threads)}", asked_at_ms, HOUR_MS)

    later = [0]
    keeper = Keeper(fetch, timeout_seconds=0.1, clock=lambda: elapsed_ms() + later[0])
    try:
        for _ in ends:
            with pytest.raises(TokenUnavailable, match="in time"):
                keeper.token()
            later[0] += 61_000  # past any backoff
        for _ in range(5):
            with pytest.raises(TokenUnavailable, match="earlier fetches still hang"):
                keeper.token()
            later[0] += 61_000
        assert len(threads) == len(ends)
        ends[1].set()
        threads[1].join(10)
        assert keeper.token().access_token == "token-4"
    finally:
        for end in ends:
            end.set()


def test_a_busy_event_loop_hides_no_token() -> None:
    """What has arrived in time is had, though the loop looks only when the time is over."""
    keeper = Keeper(lambda now: Token("token", now, HOUR_MS), timeout_seconds=0.1)

    async def ask() -> Token:
        asking = asyncio.create_task(keeper.token_async())
        await asyncio.sleep(0)
        wait_for(lambda: keeper._flight is None, "the token")
        threading.Event().wait(0.15)
        return await asking

    assert asyncio.run(ask()).access_token == "token"


def test_a_signal_handler_may_ask() -> None:
    """Wherever in our code the signal came: it waits for nobody whom it interrupts."""
    keeper = Keeper(lambda now: Token("token", now, HOUR_MS), timeout_seconds=5)
    keeper.token()
    answered = threading.Event()

    def ask() -> None:
        with keeper._lock:  # as a call is, when a signal comes
            keeper.token()
        answered.set()

    threading.Thread(target=ask, daemon=True).start()
    assert answered.wait(10)
