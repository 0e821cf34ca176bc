"""The WSGI middleware, around applications of no framework."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx2
import pytest

from authserver.resource_server import MalformedRequest, ThreadVerifier, Verifier, asgi
from authserver.resource_server.wsgi import ResourceServer
from tests.resource_server.deployment import Deployment, ask, serve_wsgi
from tests.resource_server.integration import Integration
from tests.server import FORM

DEMANDS: dict[str, Any] = {
    "/read": {"all_of": "read"},
    "/write": {"all_of": ["write"]},
    "/any": {"any_of": ("admin", "write")},
    "/form": {"all_of": "read"},
}


def application(environ: Any, start_response: Any) -> list[bytes]:
    """Ask for itself."""
    demand, body = DEMANDS.get(environ["PATH_INFO"]), b""
    token = environ["authserver"].require(**demand) if demand else None
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    elif token:
        body = json.dumps({"client_id": token.client_id}).encode()
    known = demand or environ["PATH_INFO"] == "/health"
    start_response("200 OK" if known else "404 Not Found", [("Content-Length", str(len(body)))])
    return [body]


class TestWsgi(Integration):
    """An application whose views ask."""

    kind = ThreadVerifier

    @classmethod
    @contextlib.contextmanager
    def serve(cls, verifier: Any) -> Iterator[str]:
        """Serve it with wsgiref; the first token starts the verifier."""
        with serve_wsgi(ResourceServer(application, verifier=verifier, resource_name="Orders")) as url:
            yield url


@pytest.fixture(scope="module")
def verifier(deployment: Deployment) -> Iterator[ThreadVerifier]:
    """Yield a verifier that has started."""
    with deployment.verifier(ThreadVerifier) as verifier:
        assert verifier.status().ready
        yield verifier


def test_everything_can_be_protected(deployment: Deployment, verifier: ThreadVerifier) -> None:
    """`require` asks every request; `except_paths` are exact."""
    app = ResourceServer(application, verifier=verifier, require="write", except_paths=("/health", "/café"))
    with serve_wsgi(app) as url:
        assert ask(url, "/health").status == 200
        assert ask(url, "/caf%C3%A9").status == 404
        for path in ("/health/", "/health/../read", "/healthy", "/HEALTH", "/caf%E9", "/other"):
            assert ask(url, path).status == 401, path
        assert ask(url, "/other", deployment.bearer("read")).status == 403
        headers = deployment.bearer("write") | {"Content-Type": FORM}
        assert ask(url, "/other", headers, method="POST", body=b"access_token=x").status == 400


def test_a_form_without_a_length_is_looked_at_where_the_server_ends_it(
    deployment: Deployment, verifier: ThreadVerifier
) -> None:
    """RS-06: a chunked form, as servers hand it on that say `wsgi.input_terminated`; without that it is not touched."""
    for terminated, status in ((True, "400 Bad Request"), (False, "200 OK")):
        said: list[Any] = []
        body = io.BytesIO(b"a=b&access_token=x")
        environ = {
            "REQUEST_METHOD": "PUT",
            "PATH_INFO": "/health",
            "CONTENT_TYPE": FORM,
            "HTTP_AUTHORIZATION": deployment.bearer()["Authorization"],
            "wsgi.input": body,
            "wsgi.input_terminated": terminated,
        }
        app = ResourceServer(application, verifier=verifier, require="")
        app(environ, lambda *answer, said=said: said.append(answer))
        assert said[0][0] == status
        assert (body.tell() > 0) is terminated


class Body(io.BytesIO):
    """The body of a request, from a client that goes away at its end."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return what comes, then fail."""
        self.reads += 1
        part = super().read(size)
        if not part:
            raise ConnectionResetError
        return part


def form(body: io.BytesIO, headers: dict[str, str] | None = None, **more: str) -> dict[str, Any]:
    """Return the environ of a form that announces 100,000 bytes."""
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/read",
        "CONTENT_TYPE": FORM,
        "CONTENT_LENGTH": "100000",
        "wsgi.input": body,
        **{f"HTTP_{name.upper()}": value for name, value in (headers or {}).items()},
        **more,
    }


def status_of(app: ResourceServer, environ: dict[str, Any]) -> str:
    """Return how a request is answered."""
    said: list[Any] = []
    app(environ, lambda *answer: said.append(answer))
    return str(said[0][0])


def unread(_: Any, start_response: Any) -> list[bytes]:
    """Answer without a look at the body."""
    start_response("200 OK", [])
    return []


@pytest.mark.parametrize(
    ("authorization", "status"),
    [("", "401 Unauthorized"), ("Bearer a.b.c", "401 Unauthorized"), ("admin", "403 Forbidden")],
)
def test_a_form_is_not_waited_for_without_a_good_token(
    deployment: Deployment, verifier: ThreadVerifier, authorization: str, status: str
) -> None:
    """RS-06: who shows none, or none that will do, holds up no thread with a body that does not come."""
    body = Body()
    bearer = deployment.bearer("admin") if authorization == "admin" else {"Authorization": authorization}
    headers = {name: value for name, value in bearer.items() if value}
    assert status_of(ResourceServer(unread, verifier=verifier, require="read"), form(body, headers)) == status
    assert body.reads == 0


@pytest.mark.parametrize("options", [{}, {"require": "read", "except_paths": ["/read"]}])
def test_a_form_is_left_alone_where_no_token_is_required(verifier: ThreadVerifier, options: Any) -> None:
    """The application may read it or not."""
    body = Body()
    assert status_of(ResourceServer(unread, verifier=verifier, **options), form(body)) == "200 OK"
    assert body.reads == 0


@pytest.mark.parametrize("came", [b"", b"a=b", b"a=" + b"b" * 70_000])
def test_a_form_that_breaks_off_is_for_the_application_to_find_out(
    deployment: Deployment, verifier: ThreadVerifier, came: bytes
) -> None:
    """It is called; it reads what came, and then the failure, as often as it tries."""
    read: list[bytes] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        read.append(environ["wsgi.input"].read(len(came)))
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                environ["wsgi.input"].read(1)
        return unread(environ, start_response)

    app = ResourceServer(application, verifier=verifier, require="read")
    assert status_of(app, form(Body(came), deployment.bearer())) == "200 OK"
    assert read == [came]


@pytest.mark.parametrize("before", [0, 5, 9_000, 70_000, -1])
@pytest.mark.parametrize("token", [b"", b"access_token=x&"])
def test_an_application_may_read_before_it_asks(
    deployment: Deployment, verifier: ThreadVerifier, before: int, token: bytes
) -> None:
    """RS-06: a token that it has read already is found, and it reads each byte once."""
    body = token + b"a=" + b"0123456789" * 8_000
    read: list[bytes] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        read.append(environ["wsgi.input"].read(before))
        try:
            environ["authserver"].require("read")
        finally:
            read.extend(iter(lambda: environ["wsgi.input"].read(7_001), b""))
        return unread(environ, start_response)

    environ = form(io.BytesIO(body + b"of the next request"), deployment.bearer(), CONTENT_LENGTH=str(len(body)))
    app = ResourceServer(application, verifier=verifier)
    assert status_of(app, environ) == ("400 Bad Request" if token else "200 OK")
    assert b"".join(read) == body


def test_a_form_is_read_where_the_server_gives_less_than_was_asked_for(
    deployment: Deployment, verifier: ThreadVerifier
) -> None:
    """RS-06: a name torn in two by such a server is found all the same."""

    class Few(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 3))

    environ = form(Few(b"a=b&access_token=x"), deployment.bearer())
    assert status_of(ResourceServer(unread, verifier=verifier, require="read"), environ) == "400 Bad Request"


def test_a_token_in_the_form_stays_refused(deployment: Deployment, verifier: ThreadVerifier) -> None:
    """RS-06: an application that asks twice is refused twice, and is never told a token."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        for _ in range(2):
            with pytest.raises(MalformedRequest):
                environ["authserver"].require("read")
            assert environ["authserver"].token is None
        assert environ["wsgi.input"].read(14) == b"access_token=x"
        return unread(environ, start_response)

    app = ResourceServer(application, verifier=verifier)
    assert status_of(app, form(Body(b"access_token=x"), deployment.bearer())) == "200 OK"


def test_a_body_of_get_is_no_form(deployment: Deployment, verifier: ThreadVerifier) -> None:
    """RFC 6750 §2.2: it has no meaning, in WSGI as in ASGI."""
    body = Body(b"access_token=x")
    environ = form(body, deployment.bearer(), REQUEST_METHOD="GET")
    assert status_of(ResourceServer(unread, verifier=verifier, require="read"), environ) == "200 OK"
    assert environ["wsgi.input"] is body


@pytest.mark.parametrize("respond", [unread, application], ids=["unread", "read"])
def test_nothing_of_a_form_waits_for_the_garbage_collector(
    deployment: Deployment, verifier: ThreadVerifier, respond: Callable[..., Any]
) -> None:
    """An environ that can be reached from itself would be freed by stopping the whole service now and then."""
    body = io.BytesIO(b"a=b")
    environ = form(body, deployment.bearer(), CONTENT_LENGTH="3")
    assert status_of(ResourceServer(respond, verifier=verifier, require="read"), environ) == "200 OK"
    freed = weakref.ref(body)
    gc.collect()
    gc.disable()
    try:
        del body, environ
        assert freed() is None
    finally:
        gc.enable()


def test_a_head_request_is_refused_without_a_body(verifier: ThreadVerifier) -> None:
    """RFC 9110 §9.3.2: the header fields are those of GET."""
    app = ResourceServer(application, verifier=verifier, require="read")
    with httpx2.Client(transport=httpx2.WSGITransport(app), base_url="http://service") as client:
        response = client.head("/read")
        assert (response.status_code, response.content) == (401, b"")
        assert int(response.headers["content-length"]) > 0


def test_a_generator_is_refused_like_any_application(deployment: Deployment, verifier: ThreadVerifier) -> None:
    """Nothing of it has run when it is returned: its Refusal comes with the first part."""
    closed: list[str] = []

    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        try:
            token = environ["authserver"].require("read")
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield b"hello "
            yield token.client_id.encode()
        finally:
            closed.append(environ["PATH_INFO"])

    with serve_wsgi(ResourceServer(application, verifier=verifier)) as url:
        refused, good = ask(url, "/1"), ask(url, "/2", deployment.bearer())
    assert (refused.status, refused.headers["www-authenticate"][:6]) == (401, "Bearer")
    assert (good.status, good.body) == (200, f"hello {deployment.caller['client_id']}".encode())
    assert closed == ["/1", "/2"]


@pytest.mark.parametrize("in_parts", [False, True])
def test_an_application_may_begin_before_it_asks(verifier: ThreadVerifier, *, in_parts: bool) -> None:
    """What it has set and not sent gives way to the refusal (PEP 3333, `exc_info`)."""

    def whole(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Secret", "yes")])
        environ["authserver"].require("read")
        return [b"hello"]

    def parts(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield from whole(environ, start_response)

    with serve_wsgi(ResourceServer(parts if in_parts else whole, verifier=verifier)) as url:
        refused = ask(url, "/")
    assert (refused.status, refused.headers["www-authenticate"][:6]) == (401, "Bearer")
    assert "x-secret" not in refused.headers


def test_the_wrong_kind_of_verifier_lets_nobody_in(deployment: Deployment) -> None:
    """An answer that nobody awaits is true: such a middleware must not come into being. Nor the other way round."""
    with pytest.raises(TypeError, match="needs a ThreadVerifier"):
        ResourceServer(application, verifier=deployment.verifier(Verifier))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="needs a Verifier"):
        asgi.ResourceServer(application, verifier=deployment.verifier(ThreadVerifier))  # type: ignore[arg-type]


def test_a_browser_may_ask_for_the_description_without_a_token(verifier: ThreadVerifier) -> None:
    """A CORS preflight never has one; elsewhere it needs one, as long as everything does."""
    with serve_wsgi(ResourceServer(application, verifier=verifier, require="read")) as url:
        response = ask(url, "/.well-known/oauth-protected-resource/orders", method="OPTIONS")
        assert (response.status, response.body) == (204, b"")
        assert response.headers["access-control-allow-headers"] == "*"
        assert ask(url, "/.well-known/oauth-protected-resource/other", method="OPTIONS").status == 401


@pytest.mark.parametrize("length", ["", "-1", "1 ", "a", "9" * 5000])
def test_a_length_that_is_none_is_no_failure(verifier: ThreadVerifier, length: str) -> None:
    """The form is left to the application, and to the server."""
    environ = {
        "REQUEST_METHOD": "PUT",
        "PATH_INFO": "/health",
        "CONTENT_TYPE": FORM,
        "CONTENT_LENGTH": length,
        "wsgi.input": io.BytesIO(b"a=b"),
    }
    said: list[Any] = []
    ResourceServer(application, verifier=verifier)(environ, lambda *answer: said.append(answer))
    assert said[0][0] == "200 OK"


@pytest.mark.parametrize(
    ("authorization", "status"),
    [({}, "401 Unauthorized"), ({"HTTP_AUTHORIZATION": "Bearer a.b.c"}, "503 Service Unavailable")],
)
def test_without_a_thread_to_be_had_a_refusal_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, authorization: dict[str, str], status: str
) -> None:
    """A configuration that cannot be fetched now changes nothing of the answer."""
    verifier = ThreadVerifier.from_config("http://127.0.0.1:1/", client_id="orders", client_secret="s3cr3t")
    app = ResourceServer(application, verifier=verifier, require="read")
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    said: list[Any] = []
    app({"REQUEST_METHOD": "GET", "PATH_INFO": "/read", **authorization}, lambda *answer: said.append(answer))
    assert said[0][0] == status


def no_thread(_: threading.Thread) -> None:
    """Stand for a system that has no thread to give."""
    raise RuntimeError("can't start new thread")
