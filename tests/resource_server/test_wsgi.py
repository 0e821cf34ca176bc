"""The WSGI middleware, around applications of no framework."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2
import pytest

from authserver.resource_server import ThreadVerifier, Verifier, asgi
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
