"""Requests that wait for somebody else keep nobody from being served."""

from __future__ import annotations

import base64
import contextlib
import socket
import time
from pathlib import Path

from tests.server import RunningServer, credentials, start_server

HALF_SENT = (
    b"POST /oauth2/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 100\r\n\r\ngrant_type="
)


def connection(server: RunningServer, request: bytes) -> socket.socket:
    """Send the beginning of a request, or one whose answer takes its time."""
    opened = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    opened.sendall(request)
    return opened


def test_waiting_requests_take_no_turn(tmp_path: Path) -> None:
    """HTTP-12: with room for two requests, some that wait for news and some half sent ones leave room for work."""
    with start_server(tmp_path, AUTHSERVER_MAX_REQUESTS="2") as server, contextlib.ExitStack() as stack:
        reader, client = server.create_client(), server.create_client()
        server.create_resource("https://api.example.com", resource_servers=[reader["client_id"]])
        cursor = server.get("/oauth2/revocations", basic(reader)).json()["cursor"]
        waiting = (
            b"GET /oauth2/revocations?after=%b&wait=30 HTTP/1.1\r\nHost: localhost\r\nAuthorization: %b\r\n\r\n"
            % (
                cursor.encode(),
                basic(reader)["Authorization"].encode(),
            )
        )
        opened = [stack.enter_context(connection(server, request)) for request in [waiting, HALF_SENT] * 3]
        time.sleep(0.3)  # none of them answers, or is refused
        for one in opened:
            one.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                assert one.recv(1000) is None
        assert [server.token_response(client).status for _ in range(20)] == [200] * 20


def basic(client: dict[str, object]) -> dict[str, str]:
    """Return the Authorization header of a client."""
    return {"Authorization": "Basic " + base64.b64encode(":".join(credentials(client)).encode()).decode()}
