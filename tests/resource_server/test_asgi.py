"""The ASGI middleware, around applications of no framework."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import logging
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from authserver.resource_server import InvalidToken, MalformedRequest, Refusal, Verifier
from authserver.resource_server.asgi import ResourceServer
from tests.resource_server.deployment import Deployment, ask, serve_asgi
from tests.resource_server.integration import Integration
from tests.server import FORM

DEMANDS: dict[str, Any] = {
    "/read": {"all_of": "read"},
    "/write": {"all_of": ["write"]},
    "/any": {"any_of": ("admin", "write")},
    "/form": {"all_of": "read"},
}


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Ask for itself; know no lifespan."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    demand, body = DEMANDS.get(scope["path"]), b""
    token = await scope["authserver"].require(**demand) if demand else None
    if scope["method"] == "POST":
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
    elif token:
        body = json.dumps({"client_id": token.client_id}).encode()
    known = demand or scope["path"] == "/health"
    await send({"type": "http.response.start", "status": 200 if known else 404, "headers": []})
    await send({"type": "http.response.body", "body": body})


class TestAsgi(Integration):
    """An application whose routes ask."""

    kind = Verifier

    @classmethod
    @contextlib.contextmanager
    def serve(cls, verifier: Any) -> Iterator[str]:
        """Serve it with uvicorn, lifespan and all."""
        with serve_asgi(ResourceServer(application, verifier=verifier, resource_name="Orders"), lifespan="on") as url:
            yield url


class TestWithoutLifespan(TestAsgi):
    """The same on a server that has no lifespan: the first token starts the verifier."""

    @classmethod
    @contextlib.contextmanager
    def serve(cls, verifier: Any) -> Iterator[str]:
        """Serve it with lifespan off."""
        with serve_asgi(ResourceServer(application, verifier=verifier, resource_name="Orders"), lifespan="off") as url:
            yield url


@pytest.fixture(scope="module")
def url(deployment: Deployment) -> Iterator[str]:
    """Yield the URL of the application."""
    with TestAsgi.served(deployment) as url:
        yield url


def verifier_threads() -> set[threading.Thread]:
    """Return the threads of verifiers that run now."""
    return {thread for thread in threading.enumerate() if thread.name == "authserver-verifier"}


def test_the_verifier_lives_as_long_as_the_service(deployment: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    """It knows everything before the first request and is gone before the service is; it can have a second life."""
    before = verifier_threads()
    verifier = deployment.verifier(Verifier)
    for _ in range(2):
        with serve_asgi(ResourceServer(application, verifier=verifier), lifespan="on") as url:
            assert verifier.status().ready
            assert len(verifier_threads() - before) == 1
            assert ask(url, "/read", deployment.bearer()).status == 200
        assert verifier_threads() == before
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_wrong_secret_ends_the_start(deployment: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    """A service that could never let anybody in says so at once, without the secret."""
    secret = "not-the-secret"
    verifier = Verifier.from_config(
        deployment.document, client_id=deployment.options["client_id"], client_secret=secret
    )
    connection = Connection("lifespan", {}, {"type": "lifespan.startup"})
    asyncio.run(ResourceServer(application, verifier=verifier)(connection.scope, connection.receive, connection.send))
    (failed,) = connection.sent
    assert failed["type"] == "lifespan.startup.failed"
    assert " answers 401: client id or secret is wrong" in failed["message"]
    assert secret not in failed["message"] + caplog.text


def test_the_lifespan_of_the_application_is_its_own(deployment: Deployment) -> None:
    """What the application says of its start and end goes to the server, and the verifier is there in between."""
    verifier = deployment.verifier(Verifier)
    seen: list[object] = []

    async def alive(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        scope["state"]["mine"] = True
        for word in ("startup", "shutdown"):
            seen.append(((await receive())["type"], verifier.status().ready))
            await send({"type": f"lifespan.{word}.complete"})

    with serve_asgi(ResourceServer(alive, verifier=verifier), lifespan="on"):
        pass
    assert seen == [("lifespan.startup", True), ("lifespan.shutdown", True)]


def test_an_application_that_returns_after_its_start_is_served_with_a_verifier(deployment: Deployment) -> None:
    """The protocol lets it wait for the end or not: the verifier ends when the server says so."""
    before = verifier_threads()
    verifier = deployment.verifier(Verifier)
    returned = threading.Event()

    async def brief(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        returned.set()

    with serve_asgi(ResourceServer(brief, verifier=verifier), lifespan="on") as url:
        assert returned.wait(5)
        assert ask(url, "/health").status == 200  # the event loop has gone on
        assert verifier.status().ready
        assert len(verifier_threads() - before) == 1
    assert verifier_threads() == before


@pytest.mark.parametrize("said", [["lifespan.startup.complete"], ["lifespan.startup.failed"], []])
@pytest.mark.parametrize("heard", [0, 1, 2])
def test_the_server_is_always_answered(deployment: Deployment, said: list[str], heard: int) -> None:
    """However much an application hears and says of the protocol before it returns, nobody waits for more."""

    async def terse(_scope: Any, receive: Any, send: Any) -> None:
        for number in range(max(heard, len(said))):
            if number < heard:
                await receive()
            for kind in said[number : number + 1]:
                await send({"type": kind})

    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    connection = Connection("lifespan", {}, *messages)
    app = ResourceServer(terse, verifier=deployment.verifier(Verifier))
    asyncio.run(app(connection.scope, connection.receive, connection.send))
    start = said or ["lifespan.startup.complete"]
    end = [] if start == ["lifespan.startup.failed"] else ["lifespan.shutdown.complete"]
    assert [message["type"] for message in connection.sent] == start + end


def test_without_a_thread_to_be_had_the_application_starts_all_the_same(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own start is not skipped, which a server would do that takes an error for a missing lifespan."""
    verifier = deployment.verifier(Verifier)
    start = threading.Thread.start
    clients: list[str] = []

    async def alive(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        await receive()
        monkeypatch.undo()
        token = deployment.bearer()["Authorization"].removeprefix("Bearer ")
        clients.append((await verifier.verify(token)).client_id)
        for word in ("startup", "shutdown"):
            await send({"type": f"lifespan.{word}.complete"})

    def no_verifier(thread: threading.Thread) -> None:
        (no_thread if thread.name == "authserver-verifier" else start)(thread)

    monkeypatch.setattr(threading.Thread, "start", no_verifier)
    connection = Connection("lifespan", {}, {"type": "lifespan.startup"})
    asyncio.run(ResourceServer(alive, verifier=verifier)(connection.scope, connection.receive, connection.send))
    assert [message["type"] for message in connection.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert clients == [deployment.caller["client_id"]]
    errors = [record for record in caplog.records if "with the application" in record.getMessage()]
    assert [(error.levelname, error.exc_info) for error in errors] == [("ERROR", None)]


def test_everything_can_be_protected(deployment: Deployment) -> None:
    """`require` asks every request; `except_paths` are exact."""
    verifier = deployment.verifier(Verifier)
    app = ResourceServer(application, verifier=verifier, require="write", except_paths=("/health",))
    with serve_asgi(app) as url:
        assert ask(url, "/health").status == 200
        for path in ("/health/", "/health/../read", "//health", "/healthy", "/HEALTH", "/other"):
            assert ask(url, path).status == 401, path
        assert ask(url, "/other", deployment.bearer("read")).status == 403
        assert ask(url, "/.well-known/oauth-protected-resource").status == 200
        headers = deployment.bearer("write") | {"Content-Type": FORM}
        assert ask(url, "/other", headers, method="POST", body=b"access_token=x").status == 400


def test_two_authorization_headers_are_400(deployment: Deployment, url: str) -> None:
    """RS-06: which of two tokens counts is nobody's guess."""
    connection = http.client.HTTPConnection("127.0.0.1", int(url.rpartition(":")[2]))
    with contextlib.closing(connection):
        connection.putrequest("GET", "/read")
        for _ in range(2):
            connection.putheader("Authorization", deployment.bearer()["Authorization"])
        connection.endheaders()
        assert connection.getresponse().status == 400


def test_a_form_may_come_in_parts(deployment: Deployment, url: str) -> None:
    """RS-06: the name of the parameter may be torn in two, and what is good arrives in order."""
    headers = deployment.bearer() | {"Content-Type": FORM}
    assert ask(url, "/form", headers, method="POST", body=[b"a=b&access_", b"token=x"]).status == 400
    parts = [b"a=", b"b" * 70_000, b"c" * 70_000, b"&d=e"]
    response = ask(url, "/form", headers, method="POST", body=parts)
    assert (response.status, response.body) == (200, b"".join(parts))


@pytest.mark.parametrize(
    ("authorization", "status"), [("", 401), ("Basic eDp5", 401), ("Bearer a.b.c", 401), ("admin", 403)]
)
def test_a_form_is_not_waited_for_without_a_good_token(deployment: Deployment, authorization: str, status: int) -> None:
    """RS-06: who shows none, or none that will do, is told so at once: none of the body is asked for."""
    bearer = deployment.bearer("admin") if authorization == "admin" else {"Authorization": authorization}
    headers = {name: value for name, value in bearer.items() if value} | {"Content-Type": FORM}
    connection = Connection("http", headers, method="POST")
    assert connection.run(application, deployment.verifier(Verifier), require="read")[0]["status"] == status


def test_a_form_that_breaks_off_is_for_the_application_to_find_out(deployment: Deployment) -> None:
    """It is called, and receives what came of it and the end of the connection, as without the middleware."""
    received: list[Any] = []

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        received.extend([await receive(), await receive()])
        await send({"type": "http.response.start", "status": 400, "headers": []})

    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b"a=", "more_body": True},
        {"type": "http.disconnect"},
    ]
    connection = Connection("http", deployment.bearer() | {"Content-Type": FORM}, *messages, method="POST")
    assert connection.run(application, deployment.verifier(Verifier), require="read")[0]["status"] == 400
    assert received == messages


def test_a_token_in_the_form_stays_refused(deployment: Deployment) -> None:
    """RS-06: an application that asks twice is refused twice, and is never told a token."""
    seen: list[Any] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        for _ in range(2):
            with pytest.raises(MalformedRequest):
                await scope["authserver"].require("read")
            seen.append(scope["authserver"].token)

    message = {"type": "http.request", "body": b"access_token=x"}
    connection = Connection("http", deployment.bearer() | {"Content-Type": FORM}, message, method="POST")
    connection.run(application, deployment.verifier(Verifier))
    assert seen == [None, None]


class Connection:
    """One connection of an ASGI server, by hand."""

    def __init__(self, kind: str, headers: dict[str, str], *messages: dict[str, Any], **scope: Any) -> None:
        """Offer `messages` to the application."""
        self.scope: dict[str, Any] = {
            "type": kind,
            "path": "/read",
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            **scope,
        }
        self.coming = list(messages)
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        """Give the next message."""
        return self.coming.pop(0)

    async def send(self, message: Any) -> None:
        """Keep what the application says."""
        self.sent.append(message)

    def run(self, app: Any, verifier: Verifier, **options: Any) -> Sequence[Any]:
        """Return what the application sends."""
        return asyncio.run(self._run(ResourceServer(app, verifier=verifier, **options), verifier))

    async def _run(self, app: ResourceServer, verifier: Verifier) -> Sequence[Any]:
        async with verifier:
            await app(self.scope, self.receive, self.send)
        return self.sent


def test_a_body_that_is_no_form_is_not_waited_for(deployment: Deployment) -> None:
    """The application is called, and its caller known, before any of an upload has come."""

    async def upload(scope: Any, receive: Any, send: Any) -> None:
        await scope["authserver"].require("write")
        assert len(connection.coming) == 1
        await send({"type": "http.response.start", "status": 202, "headers": []})

    headers = deployment.bearer() | {"Content-Type": "application/octet-stream"}
    connection = Connection("http", headers, {"type": "http.request"}, method="POST")
    assert connection.run(upload, deployment.verifier(Verifier))[0]["status"] == 202


def test_what_comes_after_the_beginning_of_an_answer_is_not_hidden(deployment: Deployment) -> None:
    """A Refusal once the answer has begun is a failure that the server has to see: it ends the connection."""

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await scope["authserver"].require()

    connection = Connection("http", {}, method="GET")
    with pytest.raises(Refusal):
        connection.run(late, deployment.verifier(Verifier))
    assert len(connection.sent) == 1


def test_a_refused_websocket_is_never_accepted(deployment: Deployment) -> None:
    """It is closed with 1008, or answered like any request by a server that can (websocket.http.response)."""
    verifier = deployment.verifier(Verifier)
    assert Connection("websocket", {}).run(application, verifier, require="read") == [
        {"type": "websocket.close", "code": 1008, "reason": "An access token is required."}
    ]
    scope: dict[str, Any] = {"extensions": {"websocket.http.response": {}}}
    start, body = Connection("websocket", deployment.bearer("read"), **scope).run(
        application, verifier, require="write"
    )
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
    assert (body["type"], json.loads(body["body"])["error"]) == ("websocket.http.response.body", "insufficient_scope")


def test_an_open_websocket_can_ask_again(deployment: Deployment) -> None:
    """Once its token is revoked it is closed with 1008."""
    bearer = deployment.bearer()

    async def chat(scope: Any, receive: Any, send: Any) -> None:
        await scope["authserver"].require("read")
        await send({"type": "websocket.accept"})
        await asyncio.to_thread(deployment.revoke, bearer)
        async with asyncio.timeout(5):
            while True:
                await scope["authserver"].require("read")
                await asyncio.sleep(0.01)

    accepted, closed = Connection("websocket", bearer).run(chat, deployment.verifier(Verifier))
    assert accepted == {"type": "websocket.accept"}
    assert closed == {"type": "websocket.close", "code": 1008, "reason": InvalidToken.description}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("GET", {}, 200), ("POST", {"Content-Type": FORM}, 200), ("GET", {"Authorization": "Bearer no-token"}, 401)],
    ids=["good", "form", "refused"],
)
def test_nothing_of_a_request_waits_for_the_garbage_collector(
    deployment: Deployment, method: str, headers: dict[str, str], status: int
) -> None:
    """A scope that can be reached from itself would be freed by stopping the whole service now and then."""
    verifier = deployment.verifier(Verifier)
    message = {"type": "http.request", "body": b"a=b", "more_body": False}
    connection = Connection("http", deployment.bearer() | headers, message, method=method)
    assert connection.run(application, verifier, require="read")[0]["status"] == status
    freed = weakref.ref(connection)
    gc.collect()
    gc.disable()
    try:
        del connection
        assert freed() is None
    finally:
        gc.enable()


def test_scopes_as_the_specification_allows_them(deployment: Deployment) -> None:
    """Without the optional members, and with headers that can be read once; what cannot be guarded is not let in."""
    verifier = deployment.verifier(Verifier)
    bare = Connection("websocket", {})
    del bare.scope["headers"], bare.scope["query_string"]
    assert bare.run(application, verifier, require="read")[0]["code"] == 1008
    once = Connection("http", deployment.bearer(), method="GET")
    once.scope["headers"] = iter(once.scope["headers"])
    assert once.run(application, verifier)[0]["status"] == 200
    with pytest.raises(RuntimeError, match="cannot be guarded"):
        Connection("webtransport", {}).run(application, verifier, require="read")


def test_a_start_that_fails_is_no_missing_lifespan(deployment: Deployment) -> None:
    """An application that begins to start and cannot must not be reported as started."""

    async def without_database(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()
        raise ConnectionError("no database")

    connection = Connection("lifespan", {}, {"type": "lifespan.startup"})
    with pytest.raises(ConnectionError):
        connection.run(without_database, deployment.verifier(Verifier))
    assert connection.sent == []


def test_no_framework_is_needed() -> None:
    """The library, and what is for ASGI and WSGI at large, imports none of them."""
    program = (
        "import sys, authserver.resource_server.asgi, authserver.resource_server.wsgi;"
        "print(*{'starlette', 'fastapi', 'flask', 'werkzeug', 'django', 'mcp'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == ""


def test_a_browser_may_ask_for_the_description_without_a_token(deployment: Deployment) -> None:
    """A CORS preflight never has one; elsewhere it needs one, as long as everything does."""
    app = ResourceServer(application, verifier=deployment.verifier(Verifier), require="read")
    with serve_asgi(app) as url:
        response = ask(url, "/.well-known/oauth-protected-resource/orders", method="OPTIONS")
        assert (response.status, response.body) == (204, b"")
        assert response.headers["access-control-allow-headers"] == "*"
        assert ask(url, "/.well-known/oauth-protected-resource/other", method="OPTIONS").status == 401


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"Authorization": "Bearer a.b.c"}, 503)])
def test_without_a_thread_to_be_had_a_refusal_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], status: int
) -> None:
    """A configuration that cannot be fetched now changes nothing of the answer."""
    verifier = Verifier.from_config("http://127.0.0.1:1/", client_id="orders", client_secret="s3cr3t")
    connection = Connection("http", headers, method="GET")
    app = ResourceServer(application, verifier=verifier, require="read")
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    asyncio.run(app(connection.scope, connection.receive, connection.send))
    assert connection.sent[0]["status"] == status


def no_thread(_: threading.Thread) -> None:
    """Stand for a system that has no thread to give."""
    raise RuntimeError("can't start new thread")
