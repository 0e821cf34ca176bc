"""A resource of a real authorization server, its resource server and a caller; and how tests serve applications."""

from __future__ import annotations

import contextlib
import http.client
import socketserver
import threading
import wsgiref.simple_server
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import urlsplit

import uvicorn

from authserver.resource_server import ThreadVerifier, Verifier
from tests.redis_server import wait_for
from tests.server import API, Response, RunningServer, free_port

RESOURCE = f"{API}/orders"
SCOPES = ({"name": "read"}, {"name": "write", "includes": ["read"]}, {"name": "admin"})

V = TypeVar("V", Verifier, ThreadVerifier)


@dataclass(frozen=True)
class Deployment:
    """`document` is the verifier configuration of the resource."""

    server: RunningServer
    document: dict[str, Any]
    resource_server: dict[str, Any] = field(repr=False)
    caller: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, server: RunningServer, identifier: str = RESOURCE) -> Deployment:
        """Create a resource, its resource server and a client that may call it."""
        resource_server = server.create_client(audiences=[identifier])
        resource = server.create_resource(
            identifier, scopes=list(SCOPES), resource_servers=[resource_server["client_id"]]
        )
        document = server.admin("GET", f"/resources/{resource['resource_id']}/verifier-config").json()
        caller = server.create_client(audiences=[identifier], scope="read write admin")
        return cls(server, document, resource_server, caller)

    @property
    def options(self) -> dict[str, Any]:
        """Return the credentials of the resource server, as a verifier takes them."""
        return {name: self.resource_server[name] for name in ("client_id", "client_secret")}

    def verifier(self, kind: type[V], document: Mapping[str, Any] | None = None) -> V:
        """Return a verifier for the resource, not started."""
        return kind.from_config(document or self.document, **self.options)

    def bearer(self, scope: str = "read write") -> dict[str, str]:
        """Return the header with a new token of the caller's."""
        return {"Authorization": f"Bearer {self.server.token(self.caller, scope=scope)}"}

    def revoke(self, bearer: Mapping[str, str]) -> None:
        """Revoke the token in a header."""
        token = bearer["Authorization"].removeprefix("Bearer ")
        assert self.server.revoke(token, self.caller).status == 200

    @contextlib.contextmanager
    def detour(self) -> Iterator[tuple[dict[str, Any], Callable[[], object]]]:
        """Yield a document whose endpoints nobody answers, and what makes the server appear there."""
        port = free_port()
        direct, detour = self.server.url, f"http://127.0.0.1:{port}"
        document = {
            name: value.replace(direct, detour) if name.endswith(("_uri", "_endpoint")) else value
            for name, value in self.document.items()
        }
        with contextlib.ExitStack() as stack:
            yield document, lambda: stack.enter_context(_forwarding(port, self.server))


def ask(
    url: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    body: bytes | Iterable[bytes] | None = None,
) -> Response:
    """Send one request to a service; a body in parts is sent chunked."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=15)
    with contextlib.closing(connection):
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Response(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )


@contextlib.contextmanager
def serve_asgi(app: Any, *, port: int | None = None, **options: Any) -> Iterator[str]:
    """Serve an ASGI application with uvicorn; yield its URL."""
    port = port or free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive(), "the start of uvicorn")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def serve_wsgi(app: Any) -> Iterator[str]:
    """Serve a WSGI application with the standard library's server, a thread for each request; yield its URL."""
    with running(wsgiref.simple_server.make_server("127.0.0.1", 0, app, _ThreadingServer, _QuietHandler)) as url:
        yield url


class _ThreadingServer(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    pass


class _QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""


@contextlib.contextmanager
def _forwarding(port: int, target: RunningServer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            response = target.request("GET", self.path, None, {"Authorization": self.headers["Authorization"] or ""})
            with contextlib.suppress(ConnectionError):  # a verifier that ends waits for nothing
                self.send_response(response.status)
                self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                self.wfile.write(response.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            """Say nothing."""

    with running(ThreadingHTTPServer(("127.0.0.1", port), Handler)) as url:
        yield url


@contextlib.contextmanager
def running(server: socketserver.TCPServer) -> Iterator[str]:
    """Run a server in a thread until the block is left, then close it; yield its URL."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
