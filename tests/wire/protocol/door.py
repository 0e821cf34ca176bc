"""A server with the HTTP door of `authserver.wire.protocol`, and raw sockets to knock at it."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from authserver.wire.protocol import protocol_class
from authserver.wire.request_head import Limits

SHORT = 0.2
# Generous for a busy machine, far below the 10 s that would pass without our limits.
SOON = 2.0
DOOR = Limits(header_seconds=SHORT, body_seconds=SHORT, idle_seconds=SHORT, max_body_bytes=96 * 1024)
HOST = b"Host: as.example\r\n"
GET = b"GET /echo HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST
LARGE = b"x" * 2**24
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


@dataclass
class Door:
    """A server with a tiny application, and what the application went through."""

    limits: Limits
    port: int = 0
    connections: set[Any] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)

    async def app(self, scope: Any, receive: Receive, send: Send) -> None:
        """Read the body, wait when the path says so, and answer with what was read."""
        if scope["path"] == "/late":
            await asyncio.sleep(2 * SHORT)
        length, more = 0, not scope["path"].startswith("/unread")
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.seen.append(f"disconnect {scope['path']}")
                return
            length += len(message["body"])
            more = message["more_body"]
        if scope["path"] == "/slow":
            await asyncio.sleep(2 * SHORT)
        if scope["path"] == "/poll":
            self.seen.append(f"{(await receive())['type']} /poll")
        names = [name.decode() for name, _ in scope["headers"]]
        answer = json.dumps({"path": scope["path"], "length": length, "names": names}).encode()
        if scope["path"].endswith("large"):
            answer = LARGE
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    @contextlib.contextmanager
    def open(self) -> Iterator["Door"]:
        """Serve from a thread."""
        kind = protocol_class(self.limits)
        config = uvicorn.Config(self.app, http=kind, interface="asgi3", ws="none", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        self.connections = server.server_state.connections
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            eventually(lambda: server.started)
            yield self
            server.should_exit = True
            thread.join()

    def connect(self) -> socket.socket:
        """Open a connection that gives up loudly."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def ask(self, *pieces: bytes) -> bytes:
        """Send pieces, one write each, and read until the server closes."""
        with self.connect() as peer:
            for piece in pieces:
                peer.sendall(piece)
                time.sleep(0.01 if len(pieces) > 1 else 0)
            return read_all(peer)

    def ask_side_by_side(self, *requests: bytes) -> list[bytes]:
        """Send each on a connection of its own at the same time, and read them all."""
        with contextlib.ExitStack() as stack:
            peers = [stack.enter_context(self.connect()) for _ in requests]
            for peer, request in zip(peers, requests, strict=True):
                peer.sendall(request)
            return [read_all(peer) for peer in peers]


def read_all(peer: socket.socket) -> bytes:
    """Read to the end of the connection."""
    answer = b""
    while piece := peer.recv(65536):
        answer += piece
    return answer


def read_one(peer: socket.socket) -> bytes:
    """Read one answer with a Content-Length."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += peer.recv(1)
    length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return answer + peer.recv(length, socket.MSG_WAITALL)


def eventually(condition: Callable[[], object]) -> None:
    """Wait for a condition, at most 5 s."""
    give_up = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def trickle(peer: socket.socket, byte: bytes) -> bytes:
    """Send a byte now and then until the server answers, or for longer than it may take."""
    peer.settimeout(SHORT / 5)
    for _ in range(int(SOON / SHORT) * 5):
        with contextlib.suppress(TimeoutError):
            return peer.recv(65536)
        peer.sendall(byte)
    return b""


def status(answer: bytes) -> int:
    """Read the status code of the first answer."""
    assert answer.startswith(b"HTTP/1.1 "), answer
    return int(answer[9:12])
