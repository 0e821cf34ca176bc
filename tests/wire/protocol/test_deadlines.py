"""How long a peer may take, over raw sockets."""

import contextlib
import socket
import time

import pytest

from tests.wire.protocol.door import (
    CHUNKED,
    GET,
    HOST,
    LARGE,
    POST,
    SHORT,
    SOON,
    Door,
    eventually,
    read_all,
    read_one,
    status,
    trickle,
)


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
