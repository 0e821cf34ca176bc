"""Too many peers, peers that go away, and peers that send anything at all."""

import contextlib
import json
import socket
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authserver.wire.request_head import Limits
from tests.wire.protocol.door import CHUNKED, GET, HOST, POST, Door, eventually, read_all, read_one, status


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
