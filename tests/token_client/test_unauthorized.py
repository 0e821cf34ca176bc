"""A 401 of the resource: one renewal, one repetition (RFC 6750 §3.1)."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import requests

from authserver.token_client import ClientCredentials
from tests.redis_server import wait_for
from tests.token_client.scripted_server import Reply, ScriptedServer, Seen, travel

#: Sends a request with a body and returns the status.
Send = Callable[[ClientCredentials, str, bytes], int]


def by_sync(credentials: ClientCredentials, url: str, body: bytes) -> int:
    """Send by a sync client of httpx2."""
    with httpx2.Client(auth=credentials) as client:
        return client.post(url, content=body).status_code


def by_async(credentials: ClientCredentials, url: str, body: bytes) -> int:
    """Send by an async client of httpx2."""

    async def run() -> int:
        async with httpx2.AsyncClient(auth=credentials) as client:
            return (await client.post(url, content=body)).status_code

    return asyncio.run(run())


def by_requests(credentials: ClientCredentials, url: str, body: bytes) -> int:
    """Send by requests."""
    return requests.post(url, data=body, auth=credentials, timeout=10).status_code


def by_requests_from_a_file(credentials: ClientCredentials, url: str, body: bytes) -> int:
    """Send by requests, from a file that has to be rewound."""
    return requests.post(url, data=io.BytesIO(body), auth=credentials, timeout=10).status_code


SENDERS = [by_sync, by_async, by_requests, by_requests_from_a_file]


@pytest.mark.parametrize("send", SENDERS)
def test_a_rejected_token_is_renewed_and_the_request_repeated(scripted: ScriptedServer, send: Send) -> None:
    """The second request is the first one with another token; body and method are the same."""
    scripted.accept_only("token-2")
    credentials = scripted.credentials()
    assert send(credentials, scripted.url + "/orders", b"the body") == 200
    assert [(seen.method, seen.bearer, seen.body) for seen in scripted.resource_requests] == [
        ("POST", "token-1", b"the body"),
        ("POST", "token-2", b"the body"),
    ]
    assert send(credentials, scripted.url, b"") == 200
    assert len(scripted.token_requests) == 2


@pytest.mark.parametrize("send", SENDERS)
def test_no_request_is_sent_a_third_time(scripted: ScriptedServer, send: Send) -> None:
    """A resource that refuses the new token too has the last word."""
    scripted.accept_only()
    assert send(scripted.credentials(), scripted.url, b"") == 401
    assert [seen.bearer for seen in scripted.resource_requests] == ["token-1", "token-2"]


@pytest.mark.parametrize("send", SENDERS)
def test_without_a_new_token_the_401_is_the_answer(scripted: ScriptedServer, send: Send) -> None:
    """The server is away: no exception, the caller gets what the resource said, and the token stays for others."""
    credentials = scripted.credentials()
    credentials.token()
    scripted.accept_only()
    scripted.issue = lambda _: Reply(503, b"", {"Retry-After": "60"})
    assert send(credentials, scripted.url, b"") == 401
    assert len(scripted.resource_requests) == 1
    assert credentials.token().access_token == "token-1"
    assert send(credentials, scripted.url, b"") == 401
    assert len(scripted.token_requests) == 2, "Retry-After holds for a renewal on 401 too"


@pytest.mark.parametrize("send", SENDERS)
def test_the_same_token_again_is_not_tried(scripted: ScriptedServer, send: Send) -> None:
    """A server that gives out the token that was rejected, because it still holds, causes no second request."""
    scripted.accept_only()
    scripted.issue = lambda _: scripted.next_token(access_token="the-same")
    assert send(scripted.credentials(), scripted.url, b"") == 401
    assert len(scripted.resource_requests) == 1


def test_many_rejections_of_one_token_cause_one_fetch(scripted: ScriptedServer) -> None:
    """Thirty requests are under way with the old token when it is revoked; one renewal serves all."""
    callers = 30
    together = threading.Barrier(callers)

    def serve(seen: Seen) -> Reply:
        if seen.bearer == "token-1":
            together.wait(10)
            return Reply(401)
        return Reply()

    scripted.serve = serve
    with httpx2.Client(auth=scripted.credentials()) as client, ThreadPoolExecutor(callers) as pool:
        answers = pool.map(lambda _: client.get(scripted.url), range(callers))
        assert {answer.status_code for answer in answers} == {200}
    assert len(scripted.token_requests) == 2
    assert len(scripted.resource_requests) == 2 * callers


def test_many_tasks_rejected_cause_one_fetch(scripted: ScriptedServer) -> None:
    """The same for tasks."""
    scripted.accept_only("token-2")

    async def run() -> set[int]:
        async with httpx2.AsyncClient(auth=scripted.credentials()) as client:
            answers = await asyncio.gather(*(client.get(scripted.url) for _ in range(30)))
        return {answer.status_code for answer in answers}

    assert asyncio.run(run()) == {200}
    assert len(scripted.token_requests) == 2


def test_a_resource_that_rejects_everything_does_not_drain_the_server(scripted: ScriptedServer) -> None:
    """A hundred requests to a resource with a wrong configuration cost a handful of tokens, more only with time."""
    scripted.accept_only()
    credentials = scripted.credentials()
    with httpx2.Client(auth=credentials) as client:
        for _ in range(100):
            assert client.get(scripted.url).status_code == 401
        assert len(scripted.token_requests) == 6
        travel(credentials, 21)
        assert client.get(scripted.url).status_code == 401
        assert len(scripted.token_requests) == 7


def chunks() -> Iterator[bytes]:
    """Yield a body that cannot be had twice."""
    yield b"the "
    yield b"body"


def stream_by_sync(credentials: ClientCredentials, url: str) -> int:
    """Send a stream by a sync client of httpx2."""
    with httpx2.Client(auth=credentials) as client:
        return client.post(url, content=chunks()).status_code


def stream_by_async(credentials: ClientCredentials, url: str) -> int:
    """Send a stream by an async client of httpx2."""

    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    async def run() -> int:
        async with httpx2.AsyncClient(auth=credentials) as client:
            return (await client.post(url, content=body())).status_code

    return asyncio.run(run())


def stream_by_requests(credentials: ClientCredentials, url: str) -> int:
    """Send a stream by requests."""
    return requests.post(url, data=chunks(), auth=credentials, timeout=10).status_code


@pytest.mark.parametrize("send", [stream_by_sync, stream_by_async, stream_by_requests])
def test_a_stream_is_not_repeated(scripted: ScriptedServer, send: Callable[[ClientCredentials, str], int]) -> None:
    """Half a body must not arrive: the caller gets the 401, and the token is renewed for the next request."""
    scripted.accept_only("token-2")
    credentials = scripted.credentials()
    assert send(credentials, scripted.url) == 401
    assert [seen.body for seen in scripted.resource_requests] == [b"the body"]
    wait_for(lambda: credentials.token().access_token == "token-2", "the second token")


class OneWay(io.BytesIO):
    """A file that knows where it is and cannot go back."""

    def seek(self, *_: int) -> int:
        """Fail, as a pipe does."""
        raise OSError("Illegal seek")


def test_a_file_that_cannot_be_rewound_is_not_repeated(scripted: ScriptedServer) -> None:
    """It is a stream like any other."""
    scripted.accept_only("token-2")
    credentials = scripted.credentials()
    assert requests.post(scripted.url, data=OneWay(b"the body"), auth=credentials, timeout=10).status_code == 401
    assert len(scripted.resource_requests) == 1
    wait_for(lambda: credentials.token().access_token == "token-2", "the second token")


@pytest.mark.parametrize("send", SENDERS)
def test_other_refusals_are_left_alone(scripted: ScriptedServer, send: Send) -> None:
    """403, insufficient_scope among them, is not cured by another token."""
    scripted.serve = lambda _: Reply(403, b"", {"WWW-Authenticate": 'Bearer error="insufficient_scope"'})
    assert send(scripted.credentials(), scripted.url, b"") == 403
    assert len(scripted.seen) == 2
