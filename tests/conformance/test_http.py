"""The HTTP section of the catalogue through the whole server: time and size on raw sockets.

The deadlines are ten seconds in production; here they are shortened by their own setting.
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import time
from collections.abc import Iterator

import pytest

from authserver.settings import Settings
from tests.conformance.expectations import assert_not_logged, assert_safe, send_raw
from tests.server import FORM, Response, RunningServer, start_server

SECONDS = 0.5
SOON = 4.0  # generous to a busy machine, far from the ten seconds of the default
HOST = b"Host: as.example\r\n"
TOKEN = b"POST /oauth2/token HTTP/1.1\r\n" + HOST + f"Content-Type: {FORM}\r\n".encode()
CHUNKED = TOKEN + b"Transfer-Encoding: chunked\r\n\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\n" + HOST


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Yield a server that waits half a second for a request, and hold the whole module to a quiet log."""
    data_dir = tmp_path_factory.mktemp("hasty")
    with start_server(data_dir, AUTHSERVER_REQUEST_SECONDS=str(SECONDS), AUTHSERVER_LOG_LEVEL="debug") as running:
        yield running
        assert_not_logged(running, "canary")
        assert '"level":"error"' not in running.log()


def connect(server: RunningServer) -> socket.socket:
    """Open a connection that gives up loudly."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def read_all(peer: socket.socket) -> bytes:
    """Read to the end of the connection."""
    answer = b""
    while piece := peer.recv(65536):
        answer += piece
    return answer


def assert_door_refused(response: Response, status: int) -> None:
    """Assert what the door says to a request that no endpoint sees: U1, U2, and that the connection ends."""
    assert response.status == status
    assert_safe(response, "canary")
    assert response.json() == {"error": "invalid_request"}
    assert response.headers["connection"] == "close"


def test_deadlines_are_ten_seconds_unless_told_otherwise() -> None:
    """HTTP-01, HTTP-02, HTTP-03: whoever sets nothing waits for nobody longer than ten seconds."""
    assert Settings.model_fields["request_seconds"].default == 10


@pytest.mark.parametrize("start", [b"POST /token HTTP/1.1\r\nHo", b"G", LIVE + b"X: canary"])
def test_silence_in_the_head(hasty: RunningServer, start: bytes) -> None:
    """HTTP-01: a head that stops is answered 408 at its deadline."""
    began = time.monotonic()
    assert_door_refused(send_raw(hasty, start), 408)
    assert SECONDS - 0.1 < time.monotonic() - began < SOON


@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/admin/v1/clients"])
@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc"])
def test_silence_in_the_body(hasty: RunningServer, path: str, framing: bytes) -> None:
    """HTTP-02: three bytes of a hundred and silence is 408, at each endpoint that reads a body."""
    type_and_token = f"Content-Type: {FORM}\r\n"
    if path.startswith("/admin"):
        type_and_token = f"Content-Type: application/json\r\nAuthorization: Bearer {hasty.admin_token}\r\n"
    began = time.monotonic()
    head = f"POST {path} HTTP/1.1\r\n".encode() + HOST + type_and_token.encode()
    assert_door_refused(send_raw(hasty, head + framing), 408)
    assert SECONDS - 0.1 < time.monotonic() - began < SOON


def test_trickling_body(hasty: RunningServer) -> None:
    """HTTP-02: a byte now and then does not move the deadline."""
    began = time.monotonic()
    with connect(hasty) as peer:
        peer.sendall(TOKEN + b"Content-Length: 100\r\n\r\n")
        peer.settimeout(SECONDS / 4)
        answer = b""
        while not answer and time.monotonic() - began < SOON:
            peer.sendall(b"a")
            with contextlib.suppress(TimeoutError):
                answer = peer.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_idle_connections(hasty: RunningServer) -> None:
    """HTTP-03: 5,000 connections without a byte are closed at the deadline, and tokens are issued meanwhile."""
    client = hasty.create_client()
    spare = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(hasty)) for _ in range(min(5000, spare))]
        began = time.monotonic()
        assert hasty.token_response(client).status == 200
        assert time.monotonic() - began < 1
        assert all(peer.recv(1) == b"" for peer in idle)
        assert time.monotonic() - began < SOON


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        (b"X: " + b"canary" * 34_000 + b"\r\n", 431),
        (b"X: canary\r\n" * 5000, 431),
        (b"X: canary\r\n" * 99, 431),
    ],
    ids=["200 KB", "5,000 fields", "over 100 fields"],
)
def test_large_heads(hasty: RunningServer, extra: bytes, status: int) -> None:
    """HTTP-04: a head of 200 KB, or of too many fields, is 431."""
    assert_door_refused(send_raw(hasty, LIVE + b"A: b\r\n" + extra + b"\r\n"), status)


def test_long_target(hasty: RunningServer) -> None:
    """HTTP-04: a request target of 9,000 bytes is 414."""
    assert_door_refused(send_raw(hasty, b"GET /canary" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"), 414)


@pytest.mark.parametrize(
    "request_text",
    [
        TOKEN + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\na=b",
        TOKEN + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        TOKEN + b"Content-Length: +3\r\n\r\na=b",
        LIVE.replace(b"\r\n", b"\n") + b"\n",
        LIVE + b"X: y\n\r\n",
        LIVE + b"X: canary\r\n folded\r\n\r\n",
        LIVE + b"X : canary\r\n\r\n",
        LIVE + b"X: a\x00b\r\n\r\n",
        LIVE + HOST + b"\r\n",
        b"GET /health/live HTTP/1.1\r\n\r\n",
        b"canary\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_ambiguous_framing(hasty: RunningServer, request_text: bytes) -> None:
    """HTTP-06, META-03: what two parsers could read differently is 400, and so is TLS or HTTP/2 on this port."""
    assert_door_refused(send_raw(hasty, request_text), 400)


@pytest.mark.parametrize(
    "body",
    [b"1\r\na\r\n" * 1_000_000, b"1;" + b"x" * 2_000_000, b"1;x=y\r\na\r\n" * 200_000],
    ids=["small chunks", "one long extension", "many extensions"],
)
def test_chunks_are_bounded(hasty: RunningServer, body: bytes) -> None:
    """HTTP-07: a million chunks of a byte and endless chunk extensions are 413, soon and in little memory."""
    before, began = hasty.rss_bytes(), time.monotonic()
    response = send_raw(hasty, CHUNKED + body)
    assert response.status == 413
    assert_safe(response)
    assert time.monotonic() - began < SOON
    assert hasty.rss_bytes() - before < 8_000_000


def test_chunk_extension_is_harmless(hasty: RunningServer) -> None:
    """HTTP-07: an honest request in small chunks with extensions is read as what it says."""
    form = b"grant_type=x"
    chunks = b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in form)
    response = send_raw(hasty, CHUNKED + chunks + b"0\r\n\r\n")
    assert (response.status, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/admin/v1/clients"])
@pytest.mark.parametrize("coding", ["gzip", "br", "identity"])
def test_content_coding(hasty: RunningServer, path: str, coding: str) -> None:
    """HTTP-08: a body with a content coding is 415, decoded by nobody."""
    is_admin = path.startswith("/admin")
    headers = {"Content-Encoding": coding, "Content-Type": "application/json" if is_admin else FORM}
    if is_admin:
        headers["Authorization"] = f"Bearer {hasty.admin_token}"
    response = hasty.request("POST", path, b"\x1f\x8b\x08canary", headers)
    assert (response.status, response.json()["error"]) == (415, "invalid_request")
    assert response.headers["cache-control"] == "no-store"
    assert b"canary" not in response.body


@pytest.mark.parametrize("path", [b"/oauth2/token", b"/oauth2/introspect", b"/oauth2/revoke", b"/admin/v1/clients"])
def test_disconnect_in_the_body(hasty: RunningServer, path: bytes) -> None:
    """HTTP-09: a peer that leaves in mid-body is one line with status 499, neither error nor traceback."""
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\nContent-Type: "
    form = b"application/json\r\nAuthorization: Bearer " + hasty.admin_token.encode()
    with connect(hasty) as peer:
        peer.sendall(head + (form if path.startswith(b"/admin") else FORM.encode()) + b"\r\n\r\nabc")
        time.sleep(0.1)
    last = json.loads(hasty.log().splitlines()[-1])
    assert (last["event"], last["path"], last["status"]) == ("request", path.decode(), 499)


def test_pipelined_requests_are_answered_in_order(hasty: RunningServer) -> None:
    """HTTP-06: requests sent ahead get their answers in their order, and junk behind them cannot answer for them."""
    with connect(hasty) as peer:
        peer.sendall(LIVE + b"\r\n" + TOKEN + b"Content-Length: 3\r\n\r\na=b" + b"junk canary\r\n\r\n")
        answer = read_all(peer)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"401"]
