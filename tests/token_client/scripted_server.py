"""An HTTP server in a thread, both sides of a token: it issues, and it is the resource. Tests script its answers."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from authserver.token_client import ClientCredentials
from tests.redis_server import wait_for
from tests.server import free_port

SECRET = "s3cret-of/the+client"
TOKEN_PATH = "/token"


@dataclass(frozen=True)
class Seen:
    """A request that came, read whole. Header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """Return the fields of an urlencoded body."""
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    @property
    def bearer(self) -> str | None:
        """Return the token that came along."""
        scheme, _, text = self.headers.get("authorization", "").partition(" ")
        return text if scheme == "Bearer" else None


@dataclass(frozen=True)
class Reply:
    """An answer. With `drip_seconds` its bytes come one by one, so far apart."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_seconds: float = 0


def token_reply(text: str, **members: Any) -> Reply:
    """Return a token response for an hour, unless `members` say otherwise."""
    document = {"access_token": text, "token_type": "Bearer", "expires_in": 3600, **members}
    return Reply(body=json.dumps(document).encode())


def error_reply(error: str, status: int = 400, **members: Any) -> Reply:
    """Return an OAuth error."""
    return Reply(status, json.dumps({"error": error, **members}).encode())


class ScriptedServer:
    """Issues `token-1`, `token-2` … at `/token` and answers 200 elsewhere, until a test sets other answers."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        self.seen: list[Seen] = []
        self.issued = 0
        self.issue: Callable[[Seen], Reply] = lambda _: self.next_token()
        self.serve: Callable[[Seen], Reply] = lambda _: Reply()
        self._context = context
        self._lock = threading.Lock()
        self._listener: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    @property
    def token_requests(self) -> list[Seen]:
        """Return the requests to the token endpoint."""
        return [seen for seen in self.seen if seen.path == TOKEN_PATH]

    @property
    def resource_requests(self) -> list[Seen]:
        """Return all other requests."""
        return [seen for seen in self.seen if seen.path != TOKEN_PATH]

    def next_token(self, **members: Any) -> Reply:
        """Return a token response with a new token."""
        with self._lock:
            self.issued += 1
            return token_reply(f"token-{self.issued}", **members)

    def accept_only(self, *tokens: str) -> None:
        """Let the resource answer 401 to every other token."""
        challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        self.serve = lambda seen: Reply() if seen.bearer in tokens else Reply(401, b"", challenge)

    def credentials(self, **options: Any) -> ClientCredentials:
        """Return credentials for this server."""
        given: dict[str, Any] = {"client_id": "billing", "client_secret": SECRET}
        if "issuer" not in options:
            given["token_endpoint"] = self.url + TOKEN_PATH
        return ClientCredentials(**{**given, **options})

    def start(self) -> None:
        """Listen, on the same port as before."""
        listener = _Listener(("127.0.0.1", self.port), _handler(self))
        if self._context is not None:
            listener.socket = self._context.wrap_socket(listener.socket, server_side=True)
        self._listener = listener
        threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Be away: connections are refused."""
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None

    def answer(self, seen: Seen) -> Reply:
        """Return what the script says, and remember the request."""
        with self._lock:
            self.seen.append(seen)
        return self.issue(seen) if seen.path == TOKEN_PATH else self.serve(seen)


class _Listener(ThreadingHTTPServer):
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is part of many tests."""


def _handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self._body()
            names = {name.lower(): value for name, value in self.headers.items()}
            reply = server.answer(Seen(self.command, self.path, names, body))
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            pieces = [bytes([byte]) for byte in reply.body] if reply.drip_seconds else [reply.body]
            for piece in pieces:
                self.wfile.write(piece)
                time.sleep(reply.drip_seconds)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", "0")))
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        do_GET = do_POST = do_PUT = _any  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def scripted_server(context: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server until the block is left."""
    server = ScriptedServer(context)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def travel(credentials: ClientCredentials, seconds: float) -> None:
    """Let the credentials live so much later. Looks inside on purpose: time is no option of theirs.

    A fetch that is under way ends before: it would be overdue.
    """
    keeper = credentials._keeper
    wait_for(lambda: keeper._flight is None, "the fetch under way")
    clock = keeper._clock
    keeper._clock = lambda: clock() + int(seconds * 1000)
