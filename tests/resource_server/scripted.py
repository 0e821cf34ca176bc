"""An authorization server that can do what the real one never does: lie, stall, redirect, count its questions."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from authserver.resource_server import ThreadVerifier
from tests.resource_server.issuer import Issuer

JWKS, FEED, CONFIG, INTROSPECT = "/jwks", "/feed", "/config", "/introspect"
CREDENTIALS: dict[str, Any] = {"client_id": "cl_rs", "client_secret": "s3cr3t-of-the-resource-server"}

#: What stands in for an honest answer: it writes to the handler whatever it likes.
Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Scripted:
    """Honest until `answers` has something else for a path."""

    issuer: Issuer
    scheme: str = "http"
    port: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)
    keys: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def document(self, **changes: Any) -> dict[str, Any]:
        """Return a verifier configuration whose endpoints are here."""
        endpoints = {"revocations_endpoint": self.url + FEED, "introspection_endpoint": self.url + INTROSPECT}
        keys = {"jwks": {"keys": self.keys}} if self.issuer.alg == "HS256" else {"jwks_uri": self.url + JWKS}
        return self.issuer.document(**{**endpoints, **keys, **changes})

    def verifier(self, source: Any = None, **options: Any) -> ThreadVerifier:
        """Return a verifier, not started."""
        return ThreadVerifier.from_config(source or self.document(), **{**CREDENTIALS, "timeout_seconds": 1, **options})

    def count(self, path: str) -> int:
        """Return how often a path was asked for."""
        return self.asked.count(path)

    def page(self, after: str | None) -> dict[str, Any]:
        """Return an honest page."""
        start = int(after.removeprefix("e.")) if after else 0
        return {
            "cursor": f"e.{len(self.entries)}",
            "as_of": time.time(),
            "known_after_ms": 0,
            "jwks": sha256(self.key_set()).hexdigest()[:16],
            "snapshot": after is None,
            "more": False,
            "entries": self.entries[start:],
        }

    def key_set(self) -> bytes:
        """Return the JWK Set."""
        return json.dumps({"keys": self.keys}).encode()

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = urlsplit(handler.path)
        self.asked.append(path.path)
        handler.rfile.read(int(handler.headers["Content-Length"] or 0))
        if path.path in self.answers:
            self.answers[path.path](handler)
        elif path.path == FEED:
            query = {name: values[0] for name, values in parse_qs(path.query).items()}
            self._wait(query)
            send(handler, 200, self.page(query.get("after")))
        elif path.path == JWKS:
            send(handler, 200, self.key_set())
        elif path.path == CONFIG:
            send(handler, 200, self.document())
        else:
            send(handler, 404, {})

    def _wait(self, query: dict[str, str]) -> None:
        deadline = time.monotonic() + int(query["wait"])
        held = (query.get("after"), query.get("jwks"))
        while time.monotonic() < deadline and not self.ended.is_set() and FEED not in self.answers:
            page = self.page(query.get("after"))
            if held != (page["cursor"], page["jwks"]):
                return
            time.sleep(0.01)


def send(handler: BaseHTTPRequestHandler, status: int, content: Any, **headers: str) -> None:
    """Write a whole response; content that is not bytes is written as JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    handler.send_response(status)
    for name, value in {"content-length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def answer(status: int, content: Any, **headers: str) -> Answer:
    """Return an answer that is always the same."""
    return lambda handler: send(handler, status, content, **headers)


@contextlib.contextmanager
def scripted(issuer: Issuer | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """Run a scripted server until the block is left."""
    issuer = issuer or Issuer()
    server = Scripted(issuer, "https" if tls else "http", keys=[issuer.jwk()])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                server.respond(self)

        do_POST = do_GET  # noqa: N815 - the name of the base class

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            """Say nothing."""

    class Listener(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: a verifier that hangs up is what is tested."""

    with Listener(("127.0.0.1", 0), Handler) as listener:
        if tls is not None:
            listener.socket = tls.wrap_socket(listener.socket, server_side=True)
        server.port = int(listener.server_address[1])
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            listener.shutdown()
            thread.join()
