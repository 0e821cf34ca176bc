"""A token is renewed early, at each process's own moment, and kept while the server is away (RFC 9110 §10.2.3)."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from authserver.token_client import ClientCredentials, TokenRefused, TokenUnavailable
from tests.redis_server import wait_for
from tests.token_client.scripted_server import Reply, ScriptedServer, Seen, error_reply, travel

AWAY = Reply(503, b"", {"Retry-After": "120"})


def renewed(credentials: ClientCredentials, text: str) -> bool:
    """Tell whether the credentials have this token by now."""
    return credentials.token().access_token == text


def test_a_token_is_renewed_before_it_expires(scripted: ScriptedServer) -> None:
    """Of an hour, 78 % are too early; at 91 % the next token comes, by one request."""
    credentials = scripted.credentials()
    credentials.token()
    travel(credentials, 3600 * 0.78)
    assert renewed(credentials, "token-1")
    assert len(scripted.token_requests) == 1
    travel(credentials, 3600 * 0.13)
    wait_for(lambda: renewed(credentials, "token-2"), "the second token")
    assert len(scripted.token_requests) == 2


def test_a_short_token_is_renewed_in_real_time(scripted: ScriptedServer) -> None:
    """A token for two seconds is followed by another one without a gap: every request carries a good one."""
    scripted.issue = lambda _: scripted.next_token(expires_in=2)
    issued_at: dict[str | None, float] = {}
    with httpx2.Client(auth=scripted.credentials()) as client:
        deadline = time.monotonic() + 20
        while scripted.issued < 3 and time.monotonic() < deadline:
            client.get(scripted.url)
            token = scripted.resource_requests[-1].bearer
            assert time.monotonic() - issued_at.setdefault(token, time.monotonic()) < 2
    assert scripted.issued == 3


def test_each_process_has_a_moment_of_its_own(scripted: ScriptedServer) -> None:
    """Of twenty objects with tokens of the same age, at 85 % of an hour some renew and some do not yet."""
    many = [scripted.credentials() for _ in range(20)]
    for credentials in many:
        credentials.token()
        travel(credentials, 3600 * 0.85)
        credentials.token()
        credentials.close()  # waits for a renewal
    assert 20 < len(scripted.token_requests) < 40


def test_nobody_waits_for_a_renewal(scripted: ScriptedServer) -> None:
    """While the server takes its time the old token goes out at once, to everybody, and one request is under way."""
    credentials = scripted.credentials()
    credentials.token()
    go = threading.Event()

    def issue(_: Seen) -> Reply:
        go.wait(10)
        return scripted.next_token()

    scripted.issue = issue
    travel(credentials, 3600 * 0.91)
    for _ in range(50):
        assert renewed(credentials, "token-1")
    wait_for(lambda: len(scripted.token_requests) == 2, "the renewal")
    assert renewed(credentials, "token-1")
    go.set()
    wait_for(lambda: renewed(credentials, "token-2"), "the second token")
    assert len(scripted.token_requests) == 2


def test_the_old_token_is_kept_while_the_server_is_away(scripted: ScriptedServer) -> None:
    """Nothing listens: the old token serves until it expires, then TokenUnavailable; the server's return ends that."""
    credentials = scripted.credentials()
    credentials.token()
    scripted.stop()
    with httpx2.Client(auth=credentials) as client:
        travel(credentials, 3600 * 0.91)
        for _ in range(5):
            assert renewed(credentials, "token-1")
            travel(credentials, 61)  # past any backoff: each time another try fails
        travel(credentials, 3600)
        with pytest.raises(TokenUnavailable, match="cannot be reached"):
            client.get(scripted.url)
        scripted.start()
        travel(credentials, 61)
        assert client.get(scripted.url).status_code == 200
    assert scripted.resource_requests[-1].bearer == "token-2"


def test_a_refusal_does_not_end_a_token_that_is_good(scripted: ScriptedServer) -> None:
    """A client that was disabled works on with its token while that holds, then hears the server's word."""
    credentials = scripted.credentials()
    credentials.token()
    scripted.issue = lambda _: error_reply("invalid_client", 401, error_description="Who are you?")
    travel(credentials, 3600 * 0.91)
    assert renewed(credentials, "token-1")
    wait_for(lambda: len(scripted.token_requests) == 2, "the renewal")
    travel(credentials, 3600)
    with pytest.raises(TokenRefused, match=r"invalid_client \(Who are you\?\)") as caught:
        credentials.token()
    assert caught.value.error == "invalid_client"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed(scripted: ScriptedServer, status: int, form: str) -> None:
    """For two minutes nobody asks again, then somebody does; the error says how long."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    value = "120" if form == "seconds" else date
    scripted.issue = lambda _: Reply(status, b"busy", {"Retry-After": value})
    credentials = scripted.credentials()
    with pytest.raises(TokenUnavailable, match=str(status)):
        credentials.token()
    for _ in range(3):
        travel(credentials, 36)
        with pytest.raises(TokenUnavailable) as caught:
            credentials.token()
        assert len(scripted.token_requests) == 1
    assert 1 <= (caught.value.retry_after_seconds or 0) <= 24
    scripted.issue = lambda _: scripted.next_token()
    travel(credentials, 25)
    assert renewed(credentials, "token-1")


def test_retry_after_is_obeyed_by_a_renewal(scripted: ScriptedServer) -> None:
    """A server that is busy in the time of renewal is left alone as long as it asks for."""
    credentials = scripted.credentials()
    credentials.token()
    scripted.issue = lambda _: AWAY
    travel(credentials, 3600 * 0.91)
    credentials.token()
    wait_for(lambda: len(scripted.token_requests) == 2, "the renewal")
    travel(credentials, 119)
    for _ in range(20):
        assert renewed(credentials, "token-1")
    credentials.close()  # waits for whatever was begun
    assert len(scripted.token_requests) == 2


def test_a_server_that_hangs_costs_a_caller_no_more_than_the_timeout(scripted: ScriptedServer) -> None:
    """The connection is taken and nothing comes: TokenUnavailable after the timeout; the next try is free to work."""
    go = threading.Event()

    def issue(_: Seen) -> Reply:
        go.wait(20)
        return Reply(500)

    scripted.issue = issue
    credentials = scripted.credentials(timeout_seconds=2)
    started = time.monotonic()
    with pytest.raises(TokenUnavailable):
        credentials.token()
    assert time.monotonic() - started < 10
    go.set()
    scripted.issue = lambda _: scripted.next_token()
    travel(credentials, 61)
    assert renewed(credentials, "token-1")


def test_a_server_that_drips_is_given_up(scripted: ScriptedServer) -> None:
    """An answer whose bytes come one by one is as late as none, for the thread that reads it too."""
    scripted.issue = lambda _: replace(scripted.next_token(), drip_seconds=0.14)
    credentials = scripted.credentials(timeout_seconds=1)
    started = time.monotonic()
    with pytest.raises(TokenUnavailable):
        credentials.token()
    wait_for(lambda: "token-fetch" not in {thread.name for thread in threading.enumerate()}, "the end of the thread")
    assert time.monotonic() - started < 8  # whole it would take ten
