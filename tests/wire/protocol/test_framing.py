"""Where a request ends and whom it is for (RFC 9112), over raw sockets."""

import time

import pytest

from authserver.wire.protocol import MAX_PIPELINED
from tests.wire.protocol.door import CHUNKED, GET, HOST, POST, Door, read_all, read_one, status


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
