"""The HTTP door (`authserver.wire.protocol`) over raw sockets, with limits short enough to wait for."""

import asyncio
import contextlib
import hashlib
import inspect
import json
import logging
import pickle
import socket
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from authserver.wire.protocol import MAX_PIPELINED, protocol_class
from authserver.wire.request_head import Limits, head_fault

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


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    """Serve with short deadlines and a body cap of 64 KB."""
    with Door(DOOR).open() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_complaint(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Hold every test to this: no warning, no error, no traceback, nothing of a request in the log (U4)."""
    with caplog.at_level(logging.DEBUG):
        yield
    records = caplog.get_records("call")
    assert [record.getMessage() for record in records if record.levelno > logging.INFO or record.exc_info] == []
    assert not any("evil" in record.getMessage() for record in records)


# Deadlines


def test_head_deadline(door: Door) -> None:
    """HTTP-01: an incomplete head is answered 408 and closed at its deadline, not before."""
    start = time.monotonic()
    assert status(door.ask(b"POST /token HTTP/1.1\r\nHo")) == 408
    assert SHORT - 0.05 < time.monotonic() - start < SOON


def test_head_deadline_is_total(door: Door) -> None:
    """HTTP-01: bytes that trickle in, empty lines among them, do not move the deadline."""
    for byte in (b"a", b"\r\n"):
        start = time.monotonic()
        with door.connect() as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nX: " if byte == b"a" else byte)
            answer = trickle(peer, byte)
        assert status(answer) == 408
        assert time.monotonic() - start < SOON


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc"])
def test_body_deadline(door: Door, framing: bytes) -> None:
    """HTTP-02: a body that stops is answered 408 at its deadline; the application sees a disconnect, no error."""
    door.seen.clear()
    start = time.monotonic()
    assert status(door.ask(POST + framing)) == 408
    assert SHORT - 0.05 < time.monotonic() - start < SOON
    eventually(lambda: door.seen == ["disconnect /echo"])


def test_body_deadline_is_total(door: Door) -> None:
    """HTTP-02: a byte now and then does not move the deadline."""
    start = time.monotonic()
    with door.connect() as peer:
        peer.sendall(POST + b"Content-Length: 100\r\n\r\nabc")
        assert status(trickle(peer, b"x")) == 408
    assert time.monotonic() - start < SOON


def test_silent_connections_are_closed(door: Door) -> None:
    """HTTP-03: connections without a byte are closed without one, and do not disturb others meanwhile."""
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(door.connect()) for _ in range(100)]
        assert status(door.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) == 200
        assert [peer.recv(1) for peer in idle] == [b""] * 100
    assert time.monotonic() - start < SOON


def test_keep_alive_is_idle_too(door: Door) -> None:
    """HTTP-03: each response starts the idle deadline anew, and it closes the connection without a word."""
    with door.connect() as peer:
        for _ in range(3):
            time.sleep(SHORT / 2)
            peer.sendall(GET)
            assert status(read_one(peer)) == 200
        start = time.monotonic()
        assert read_all(peer) == b""
        assert SHORT - 0.05 < time.monotonic() - start < SOON


def test_working_is_not_idling(door: Door) -> None:
    """HTTP-01, HTTP-03: no deadline passes while the application works, whatever the peer has sent ahead."""
    answers = door.ask_side_by_side(*(GET.replace(b"/echo", b"/slow") + ahead for ahead in (b"", b"GET /ec", GET)))
    assert [status(answer) for answer in answers] == [200, 200, 200]
    assert [answer.count(b"HTTP/1.1 200") for answer in answers] == [1, 1, 2]


@pytest.mark.parametrize(
    ("path", "ahead", "first", "interim", "rest"),
    [
        (b"/slow", GET.replace(b"/echo", b"/slow"), b"a", b"", b"b"),
        (b"/late", b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"ab"),
        (b"/late", b"", b"a" * 80_000, b"", b"b"),
    ],
    ids=["queued", "not asked for", "not read"],
)
def test_slow_application_is_not_a_slow_body(  # noqa: PLR0917 (one column each)
    door: Door, path: bytes, ahead: bytes, first: bytes, interim: bytes, rest: bytes
) -> None:
    """HTTP-02: a body that waits for us is not late: behind a request, for 100 Continue, or unread in our buffer."""
    expect = b"Expect: 100-continue\r\n" if interim else b""
    length = b"Content-Length: %d\r\n\r\n" % len(first + rest)
    with door.connect() as peer:
        peer.sendall(ahead + POST.replace(b"/echo", path) + expect + length + first)
        assert not ahead or status(read_one(peer)) == 200
        assert not interim or peer.recv(len(interim), socket.MSG_WAITALL) == interim
        time.sleep(0 if ahead or interim else 2.2 * SHORT)
        peer.sendall(rest)
        assert b'"length": %d' % len(first + rest) in read_one(peer)


def test_each_deadline_has_its_own_start(door: Door) -> None:
    """HTTP-01, HTTP-02: idle, head and body may take their time one after the other, together more than one may."""
    with door.connect() as peer:
        for piece in (b"POST /echo HTTP/1.1\r\n", HOST + b"Content-Length: 2\r\n\r\na", b"b"):
            time.sleep(0.7 * SHORT)
            peer.sendall(piece)
        assert status(read_one(peer)) == 200


@pytest.mark.parametrize(
    "request_text",
    [
        GET.replace(b"/echo", b"/large"),
        CHUNKED.replace(b"/echo", b"/unread-large"),
        CHUNKED.replace(b"/echo", b"/unread-large").replace(HOST, HOST + b"Connection: close\r\n"),
    ],
    ids=["idle", "body missing", "closing"],
)
def test_peer_that_does_not_read(door: Door, request_text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP-03: an answer that nobody takes holds its connection and memory for a while only."""
    monkeypatch.setattr("authserver.wire.protocol.DRAIN_SECONDS", SHORT)
    monkeypatch.setattr("authserver.wire.protocol.LINGER_SECONDS", SHORT)
    with door.connect() as peer:
        peer.sendall(request_text)
        assert peer.recv(9) == b"HTTP/1.1 "
        eventually(lambda: not door.connections)


def test_peer_that_reads_slowly(door: Door) -> None:
    """HTTP-03: a slow reader gets its whole answer, well after the idle deadline."""
    start, length = time.monotonic(), 0
    with door.connect() as peer:
        peer.sendall(GET.replace(b"/echo", b"/large"))
        while piece := peer.recv(2**20, socket.MSG_WAITALL):
            length += len(piece)
            time.sleep(SHORT / 6)
    assert length > len(LARGE)
    assert time.monotonic() - start > 2 * SHORT


# Sizes


def padded(size: int) -> bytes:
    """Make a GET whose head has exactly `size` bytes."""
    head = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\nX: %b\r\n\r\n")
    return head % (b"a" * (size - len(head) + 2))


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (padded(32 * 1024), 200),
        (padded(32 * 1024 + 1), 431),
        (padded(200 * 1024), 431),
        (b"\r\n" * 20_000, 431),
        (GET[:-2] + b"X: y\r\n" * 5000 + b"\r\n", 431),
        (GET[:-2] + b"X: y\r\n" * 100 + b"\r\n", 431),
        (GET[:-2] + b"X: y\r\n" * 98 + b"Connection: close\r\n\r\n", 200),
        (b"GET /%b HTTP/1.1\r\nConnection: close\r\n" % (b"a" * 8191) + HOST + b"\r\n", 200),
        (b"GET /%b HTTP/1.1\r\n" % (b"a" * 8192) + HOST + b"\r\n", 414),
        (b"GET /%b HTTP/1.1\r\n" % (b"a" * 200_000) + HOST + b"\r\n", 414),
    ],
    ids=lambda value: len(value) if isinstance(value, bytes) else value,
)
def test_head_sizes(door: Door, request_head: bytes, expected: int) -> None:
    """HTTP-04: 32 KB of head, 100 fields and 8 KB of URL are the most; 431 and 414 above, RFC 6585 §5."""
    assert status(door.ask(request_head)) == expected


def test_head_size_over_many_writes(door: Door) -> None:
    """HTTP-04: a head is counted over all its reads, and the connection's next head from zero."""
    with door.connect() as peer:
        for _ in range(3):
            peer.sendall(GET[:-2] + b"X: %b\r\n" % (b"a" * 20_000))
            time.sleep(0.02)
            peer.sendall(b"\r\n")
            assert status(read_one(peer)) == 200
    request_line, _, fields = GET.partition(b"\r\n")
    for ahead in (b"", GET):
        answer = door.ask(ahead + request_line + b"\r\n", *[b"X: %b\r\n" % (b"a" * 4000)] * 9, fields)
        assert status(answer[answer.rindex(b"HTTP/1.1 ") :]) == 431


def flood(door: Door, head: bytes, part: bytes, times: int) -> tuple[int, int]:
    """Send a head and a part many times; give the answer's status and the growth of memory in bytes."""
    door.ask(GET[:-2] + b"Connection: close\r\n\r\n")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    with door.connect() as peer:
        peer.sendall(head)
        for _ in range(times):
            peer.sendall(part)
        answer = read_all(peer)
    growth = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return status(answer), growth


MEGABYTE = b"a" * 2**20


@pytest.mark.parametrize(
    ("head", "part", "times"),
    [
        (POST + b"Content-Length: 20971520\r\n\r\n", MEGABYTE, 20),
        (CHUNKED, b"100000\r\n" + MEGABYTE + b"\r\n", 20),
        (CHUNKED, b"1\r\nx\r\n" * 10_000, 20),
        (CHUNKED + b"1;", MEGABYTE, 20),
        (CHUNKED + b"0\r\n", b"a:b\r\n" * 10_000, 20),
    ],
    ids=["length", "chunked", "small chunks", "chunk extension", "trailer fields"],
)
def test_body_size(door: Door, head: bytes, part: bytes, times: int) -> None:
    """TOK-18, HTTP-07: 413 for more than the cap however it is framed, readable by who sends on, in little memory."""
    code, growth = flood(door, head, part, times)
    assert code == 413
    assert growth - len(part) < 1_000_000


def test_declared_body_size_is_refused_at_once(door: Door) -> None:
    """TOK-18: a declared length over the cap is refused before any body; one at the cap is read."""
    refused = POST.replace(b"/echo", b"/refused") + b"Expect: 100-continue\r\nContent-Length: 98305\r\n\r\n"
    assert status(door.ask(refused)) == 413
    assert "disconnect /refused" not in door.seen
    full = door.ask(POST + b"Connection: close\r\nContent-Length: 98304\r\n\r\n", b"a" * 98304)
    assert b'"length": 98304' in full


# Framing and routing


@pytest.mark.parametrize(
    "request_text",
    [
        POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: identity\r\n\r\n",
        CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n",
        CHUNKED + b"zz\r\n",
        POST + b"Content-Length: 3,3\r\n\r\nabc",
        GET.replace(b"\r\n", b"\n"),
        GET[:-2] + b"X: y\n\r\n",
        GET[:-2] + b"X: evil\r\n folded\r\n\r\n",
        GET[:-2] + b"X : evil\r\n\r\n",
        GET.replace(b"1.1", b"2.0"),
        b"CONNECT evil:1 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://evil HTTP/1.1\r\n" + HOST + b"\r\n",
        b"\x16\x03\x01evil",
    ],
)
def test_framing(door: Door, request_text: bytes) -> None:
    """HTTP-06: ambiguous framing and broken syntax are 400, RFC 9112 §2.2, §5.1, §5.2, §6."""
    assert status(door.ask(request_text)) == 400


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"as.example", 200),
        (b"AS_2.example:8443 ", 200),
        (b"[::1]:80", 200),
        (b"evil.example/x?y#", 400),
        (b"evil@as.example", 400),
        (b"as.example, evil", 400),
        (b"as.example:80:80", 400),
        (b"as.example\xe9", 400),
        (b"", 400),
    ],
)
def test_host_value(door: Door, host: bytes, expected: int) -> None:
    """META-03: Host is host[:port] and nothing else, RFC 9112 §3.2."""
    assert status(door.ask(b"GET /echo HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n")) == expected


def test_host_count(door: Door) -> None:
    """META-03: two Host fields, or none in HTTP/1.1, are 400; HTTP/1.0 may leave it out."""
    assert status(door.ask(GET[:-2] + HOST + b"\r\n")) == 400
    assert status(door.ask(b"GET /echo HTTP/1.1\r\n\r\n")) == 400
    assert status(door.ask(b"GET /echo HTTP/1.0\r\n\r\n")) == 200


def test_absolute_form(door: Door) -> None:
    """META-02: of an absolute request target only the path is used, RFC 9112 §3.2.2."""
    answer = door.ask(b"GET http://evil.example/echo HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
    assert status(answer) == 200
    assert b'"path": "/echo"' in answer


def test_trailer_fields_are_dropped(door: Door) -> None:
    """META-03, HTTP-06: a trailer cannot add header fields behind the checks, RFC 9110 §6.5.1."""
    answer = door.ask(CHUNKED.replace(HOST, HOST + b"Connection: close\r\n") + b"0\r\nHost: evil\r\nX-Late: y\r\n\r\n")
    assert b'"names": ["host", "connection", "transfer-encoding"]' in answer


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
def test_upgrade_is_ignored(door: Door, framing: bytes, upgrade: bytes) -> None:
    """HTTP-06: a request with Upgrade is a plain one: its body is its body, never the next request, RFC 9110 §7.8."""
    head = POST + b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n"
    answer = door.ask((head + framing) * 2 + GET[:-2] + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 3
    assert answer.count(b'"length": 3') == 2


def test_upgrade_in_a_long_head(door: Door) -> None:
    """HTTP-04, HTTP-06: ignoring Upgrade does not count the head twice."""
    with door.connect() as peer:
        peer.sendall(GET[:-2] + b"X: %b\r\n" % (b"a" * 20_000))
        time.sleep(0.02)
        peer.sendall(b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert status(read_one(peer)) == 200


def test_refusal_waits_for_earlier_answers(door: Door) -> None:
    """HTTP-06: what is wrong behind a pipelined request cannot answer it: 200 for that one, then the end."""
    wrongs = (b"evil\r\n", POST + b"Content-Length: 99999\r\n\r\n", CHUNKED + b"zz\r\n", GET + CHUNKED + b"zz\r\n")
    answers = door.ask_side_by_side(*(GET.replace(b"/echo", b"/slow") + wrong for wrong in wrongs))
    assert [answer.count(b"HTTP/1.1 200") for answer in answers] == [1, 1, 1, 2]
    assert [answer.count(b"HTTP/1.1 ") for answer in answers] == [1, 1, 1, 2]


def test_one_answer_to_a_request(door: Door) -> None:
    """HTTP-06: what is wrong in a body is answered by us or by the application, never by both."""
    unread = CHUNKED.replace(b"/echo", b"/unread")
    assert door.ask(unread + b"zz\r\n").count(b"HTTP/1.1 ") == 1
    with door.connect() as peer:
        peer.sendall(unread)
        assert status(read_one(peer)) == 200
        peer.sendall(b"zz\r\n")
        assert read_all(peer) == b""


def test_pipelining_is_bounded(door: Door) -> None:
    """HTTP-04: a read full of small requests is not turned into as many waiting objects, RFC 9112 §9.3.2."""
    answer = door.ask(GET.replace(b"/echo", b"/slow") + GET * 1000)
    assert answer.count(b"HTTP/1.1 200") == 1 + MAX_PIPELINED


# Load and disconnects


def test_requests_in_flight() -> None:
    """HTTP-12: beyond the cap a quick 503 with Retry-After; health is always answered; then all is well again."""
    with Door(Limits(max_requests=2)).open() as door, door.connect() as one, door.connect() as two:
        for peer in (one, two):
            peer.sendall(GET.replace(b"/echo", b"/slow"))
        time.sleep(0.05)
        start = time.monotonic()
        answer = door.ask(GET)
        assert status(answer) == 503
        assert b"\r\nretry-after: 1\r\n" in answer
        assert answer.endswith(b'{"error":"temporarily_unavailable"}')
        for path in (b"/health/live", b"/health/ready?full"):
            assert status(door.ask(b"GET %b HTTP/1.0\r\n\r\n" % path)) == 200
        assert time.monotonic() - start < 1
        assert [status(read_one(peer)) for peer in (one, two)] == [200, 200]
        assert status(door.ask(b"GET /echo HTTP/1.0\r\n\r\n")) == 200


def test_open_connections() -> None:
    """HTTP-12: beyond the cap on connections requests are 503, health excepted, until some have gone."""
    with Door(Limits(max_connections=2)).open() as door:
        with door.connect() as one, door.connect() as two:
            for peer in (one, two):
                peer.sendall(GET)
                assert status(read_one(peer)) == 200
            assert status(door.ask(GET)) == 503
            assert status(door.ask(b"GET /health/live HTTP/1.0\r\n\r\n")) == 200
        time.sleep(0.05)
        assert status(door.ask(b"GET /echo HTTP/1.0\r\n\r\n")) == 200


@pytest.mark.parametrize("path", ["/echo", "/poll"])
def test_disconnect(door: Door, path: str) -> None:
    """HTTP-09: a peer that goes away in mid-body, or while more of its requests wait, is noticed without an error."""
    door.seen.clear()
    with door.connect() as peer:
        if path == "/echo":
            peer.sendall(POST + b"Content-Length: 100\r\n\r\nabc")
        else:
            peer.sendall(GET.replace(b"/echo", b"/poll") + GET)
        time.sleep(0.05)
    eventually(lambda: door.seen)
    assert door.seen[0].endswith(f"disconnect {path}")


def test_refusal_form(door: Door) -> None:
    """HTTP-06, U2: a refusal is ASCII JSON, not to be stored or sniffed, with a length, and ends the connection."""
    head, _, body = door.ask(b"evil\r\n\r\n").decode("ascii").partition("\r\n\r\n")
    assert json.loads(body) == {"error": "invalid_request"}
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
    assert fields["content-type"] == "application/json"
    assert fields["content-length"] == str(len(body))
    assert fields["cache-control"] == "no-store"
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["connection"] == "close"
    assert "date" in fields


TOKENS = [
    GET,
    POST,
    CHUNKED,
    HOST,
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"CONNECT ",
    b"http://evil:99999/%zz?#",
    b"\r\n",
    b"\r\n\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"\x00",
    b"\xff\xfe",
    b" ",
    b"a" * 9000,
]


@settings(max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=20), max_size=8).map(b"".join), max_size=4)
)
def test_fuzz(door: Door, pieces: list[bytes]) -> None:
    """HTTP-06, U1: whatever arrives, in whatever pieces, is answered below 500 or not at all, and service goes on."""
    with door.connect() as peer, contextlib.suppress(ConnectionError, BrokenPipeError):
        for piece in pieces:
            peer.sendall(piece)
        peer.shutdown(socket.SHUT_WR)
        answer = read_all(peer)
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert b"HTTP/1.1 5" not in answer
    assert status(door.ask(b"GET /echo HTTP/1.0\r\n\r\n")) == 200


# The seam to uvicorn


def test_limits_reach_worker_processes() -> None:
    """HTTP-12: what uvicorn is given survives the pickling on its way to a spawned worker."""
    config = uvicorn.Config("app:app", log_config=None, http=pickle.loads(pickle.dumps(protocol_class(DOOR))))  # noqa: S301
    assert config.http.keywords == {"limits": DOOR}  # type: ignore[union-attr]


READ_AGAINST = {
    HttpToolsProtocol: "18fdf324b11bf160",
    FlowControl: "126debcdaa894c83",
    RequestResponseCycle: "e67d470d435dcc1c",
    ServerState: "f2260fbf10154746",
}


@pytest.mark.parametrize("kind", READ_AGAINST, ids=lambda kind: kind.__name__)
def test_uvicorn_is_the_one_that_was_read(kind: type) -> None:
    """HTTP-01 to HTTP-12 rest on these sources; after a change read them again with `protocol.py` at hand."""
    assert hashlib.sha256(inspect.getsource(kind).encode()).hexdigest()[:16] == READ_AGAINST[kind]


def test_head_fault_is_plain() -> None:
    """HTTP-04: the check of a head is a function of values."""
    assert head_fault("1.1", b"/", [(b"host", b"as.example")], Limits()) is None
