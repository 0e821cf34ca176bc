"""The token goes where it is meant to go, redirects included (RFC 6750 §5.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import httpx2
import pytest
import requests

from authserver.token_client import ClientCredentials, OriginNotAllowed
from authserver.token_client.origin import Origins
from tests.token_client.scripted_server import Reply, ScriptedServer, Seen, scripted_server

#: Gets a URL, following redirects, and returns the status.
Get = Callable[[ClientCredentials, str], int]


def by_sync(credentials: ClientCredentials, url: str) -> int:
    """Get by a sync client of httpx2."""
    with httpx2.Client(auth=credentials, follow_redirects=True) as client:
        return client.get(url).status_code


def by_async(credentials: ClientCredentials, url: str) -> int:
    """Get by an async client of httpx2."""

    async def run() -> int:
        async with httpx2.AsyncClient(auth=credentials, follow_redirects=True) as client:
            return (await client.get(url)).status_code

    return asyncio.run(run())


def by_requests(credentials: ClientCredentials, url: str) -> int:
    """Get by a session of requests."""
    with requests.Session() as session:
        session.auth = credentials
        return session.get(url, timeout=10).status_code


GETTERS = [by_sync, by_async, by_requests]


@pytest.fixture
def elsewhere() -> Iterator[ScriptedServer]:
    """Yield a server of somebody else."""
    with scripted_server() as server:
        yield server


def redirect_to(url: str, status: int = 302) -> Callable[[Seen], Reply]:
    """Return a resource that sends everybody there."""
    return lambda _: Reply(status, b"", {"Location": url})


@pytest.mark.parametrize("get", GETTERS)
@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("answer", [200, 401])
def test_a_redirect_to_another_host_carries_no_token(
    scripted: ScriptedServer, elsewhere: ScriptedServer, get: Get, status: int, answer: int
) -> None:
    """Not at first, and not when the other host asks for one by a 401: that is no reason for a renewal either."""
    scripted.serve = redirect_to(elsewhere.url + "/trap", status)
    elsewhere.serve = lambda _: Reply(answer, b"", {"WWW-Authenticate": "Bearer"})
    assert get(scripted.credentials(), scripted.url) == answer
    assert [(seen.path, seen.headers.get("authorization")) for seen in elsewhere.seen] == [("/trap", None)]
    assert len(scripted.token_requests) == 1
    assert len(scripted.resource_requests) == 1


@pytest.mark.parametrize("get", GETTERS)
def test_a_redirect_on_the_same_host_keeps_the_token(scripted: ScriptedServer, get: Get) -> None:
    """And a 401 at its end is renewed and repeated there, without the way to it."""

    def serve(seen: Seen) -> Reply:
        if seen.path == "/old":
            return Reply(307, b"", {"Location": "/new"})
        return Reply(200 if seen.bearer == "token-2" else 401)

    scripted.serve = serve
    assert get(scripted.credentials(), scripted.url + "/old") == 200
    assert [(seen.path, seen.bearer) for seen in scripted.resource_requests] == [
        ("/old", "token-1"),
        ("/new", "token-1"),
        ("/new", "token-2"),
    ]


@pytest.mark.parametrize("get", GETTERS)
def test_a_redirect_after_a_repetition_carries_the_new_token(scripted: ScriptedServer, get: Get) -> None:
    """The first host refuses the old token, then redirects: the new one goes on."""

    def serve(seen: Seen) -> Reply:
        if seen.bearer != "token-2":
            return Reply(401)
        return Reply(307, b"", {"Location": "/new"}) if seen.path == "/old" else Reply()

    scripted.serve = serve
    assert get(scripted.credentials(), scripted.url + "/old") == 200
    assert [(seen.path, seen.bearer) for seen in scripted.resource_requests] == [
        ("/old", "token-1"),
        ("/old", "token-2"),
        ("/new", "token-2"),
    ]


@pytest.mark.parametrize("get", GETTERS)
def test_the_way_of_a_request_has_one_repetition(scripted: ScriptedServer, get: Get) -> None:
    """A 401 before the redirect and one after it: the second is the answer."""
    redirect = Reply(307, b"", {"Location": "/new"})
    scripted.serve = lambda seen: redirect if (seen.path, seen.bearer) == ("/old", "token-2") else Reply(401)
    assert get(scripted.credentials(), scripted.url + "/old") == 401
    assert [(seen.path, seen.bearer) for seen in scripted.resource_requests] == [
        ("/old", "token-1"),
        ("/old", "token-2"),
        ("/new", "token-2"),
    ]
    assert len(scripted.token_requests) == 2


@pytest.mark.parametrize("get", GETTERS)
def test_a_redirect_elsewhere_after_a_repetition_carries_no_token(
    scripted: ScriptedServer, elsewhere: ScriptedServer, get: Get
) -> None:
    """The repeated request is answered with a way out, where a 401 waits: neither token goes there."""
    scripted.serve = lambda seen: Reply(401) if seen.bearer == "token-1" else redirect_to(elsewhere.url)(seen)
    elsewhere.serve = lambda _: Reply(401)
    assert get(scripted.credentials(), scripted.url) == 401
    assert [seen.headers.get("authorization") for seen in elsewhere.seen] == [None]


def test_a_redirect_followed_by_hand_is_checked_against_the_origins(
    scripted: ScriptedServer, elsewhere: ScriptedServer
) -> None:
    """`client.send(response.next_request)` asks for a token again: `origins` knows where it belongs."""
    scripted.serve = redirect_to(elsewhere.url)
    with httpx2.Client(auth=scripted.credentials(origins=[scripted.url])) as client:
        response = client.get(scripted.url)
        assert response.next_request is not None
        with pytest.raises(OriginNotAllowed, match="origins"):
            client.send(response.next_request)
    assert elsewhere.seen == []


@pytest.mark.parametrize("get", GETTERS)
@pytest.mark.parametrize("origins", [["https://api.example.com"], ["http://127.0.0.1"], []])
def test_with_origins_the_token_goes_nowhere_else(scripted: ScriptedServer, get: Get, origins: list[str]) -> None:
    """Another host, or another port of the same: refused before any request."""
    with pytest.raises(OriginNotAllowed):
        get(scripted.credentials(origins=origins), scripted.url)
    assert scripted.seen == []


@pytest.mark.parametrize("get", GETTERS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_with_origins_the_token_goes_there(scripted: ScriptedServer, get: Get, slash: str) -> None:
    """One origin may stand alone, with or without a slash, in any case."""
    assert get(scripted.credentials(origins=scripted.url.upper().replace("HTTP", "http") + slash), scripted.url) == 200


@pytest.mark.parametrize("get", GETTERS)
def test_a_token_is_not_sent_in_the_clear(scripted: ScriptedServer, get: Get) -> None:
    """Plain http to another machine is refused, unless `origins` names it: RFC 6750 §5.3 needs TLS."""
    with pytest.raises(OriginNotAllowed, match="https"):
        get(scripted.credentials(), "http://api.internal.example/")
    assert scripted.seen == []


def test_plain_http_that_is_named_is_allowed(scripted: ScriptedServer) -> None:
    """A service mesh that encrypts by itself: its origins are listed. ASGI apps in tests are the same case."""
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, text=request.headers["Authorization"]))
    credentials = scripted.credentials(origins=["http://api.mesh"])
    with httpx2.Client(auth=credentials, transport=transport) as client:
        assert client.get("http://api.mesh/orders").text == "Bearer token-1"


@pytest.mark.parametrize("url", ["", "/orders", "http://[", "https://a\n", "ftp://127.0.0.1", "data:,x"])
@pytest.mark.parametrize("origins", [None, ["https://api.example.com"]])
def test_what_is_no_url_of_a_host_gets_no_token(url: str, origins: list[str] | None) -> None:
    """Whatever a library makes of it."""
    with pytest.raises(OriginNotAllowed):
        Origins(origins).require(url)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://user:p4ss@api.example.com:8080/path?key=s3cret", "no token is sent to http://api.example.com:8080: "),
        ("http://[2001:db8::1]/", r"no token is sent to http://\[2001:db8::1\]: "),
        ("/orders", "no token is sent to a URL without a host: "),
        ("https://a\n", "no token is sent to an invalid URL: "),
    ],
)
def test_the_refusal_names_the_origin_and_no_more_of_the_url(url: str, place: str) -> None:
    """The rest of it may hold secrets."""
    with pytest.raises(OriginNotAllowed, match=place) as caught:
        Origins(None).require(url)
    assert not [secret for secret in ("p4ss", "s3cret") if secret in str(caught.value)]


@pytest.mark.parametrize(
    "origin",
    [
        "api.example.com",
        "https://",
        "https://api.example.com/v1",
        "ftp://h",
        "https://u@h",
        "https://h#",
        "h t",
        "https://h\n",
    ],
)
def test_what_is_no_origin_is_refused_at_once(scripted: ScriptedServer, origin: str) -> None:
    """A path in an origin would promise a limit that is none."""
    options: dict[str, Any] = {"origins": [origin]}
    with pytest.raises(ValueError, match="origin"):
        scripted.credentials(**options)


def test_the_request_of_another_client_is_refused(scripted: ScriptedServer) -> None:
    """httpx, for one, calls whatever it is given as an auth: that gets no token, and hears why."""

    class Request:
        url = "https://api.example"
        headers: ClassVar[dict[str, str]] = {}

    with pytest.raises(TypeError, match="httpx2 and of requests"):
        scripted.credentials()(Request())  # type: ignore[arg-type]
    assert Request.headers == {}
    assert scripted.seen == []
