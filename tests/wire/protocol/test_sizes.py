"""How much a peer may send, over raw sockets."""

import time
import tracemalloc

import pytest

from tests.wire.protocol.door import CHUNKED, GET, HOST, POST, Door, read_all, read_one, status


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
