"""What every refusal must look like (invariants U1 to U4 of the catalogue), and requests no client library sends."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

from tests.server import FORM, Response, RunningServer

BASIC_CHALLENGE = 'Basic realm="authserver", charset="UTF-8"'


def assert_refused(response: Response, status: int, error: str, *inputs: str) -> None:
    """Assert an error of RFC 6749 §5.2: status, code, JSON in ASCII, no-store, and none of `inputs` in it."""
    assert response.status == status, (response.status, response.body)
    assert_safe(response, *inputs)
    body = response.json()
    assert body["error"] == error
    assert set(body) <= {"error", "error_description", "request_id"}


def assert_safe(response: Response, *inputs: str) -> None:
    """Assert U1 and U2: no failure of ours, JSON in ASCII, kept by no cache, none of `inputs` echoed."""
    assert response.status < 500 or (response.status == 503 and response.headers["retry-after"].isdigit())
    assert response.body.isascii()
    assert isinstance(json.loads(response.body), dict)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert_absent(response, *inputs)


def assert_absent(response: Response, *values: str) -> None:
    """Assert that none of the values stands in the body or in a header of the response."""
    for value in values:
        assert value.encode() not in response.body
        assert not any(value in header for header in response.headers.values())


def assert_unauthenticated(response: Response, *inputs: str, challenge: bool = True) -> None:
    """Assert E401; `challenge` tells whether WWW-Authenticate names the Basic scheme (RFC 6749 §5.2)."""
    assert_refused(response, 401, "invalid_client", *inputs)
    assert response.headers.get("www-authenticate") == (BASIC_CHALLENGE if challenge else None)


def assert_unavailable(response: Response) -> None:
    """Assert E503: we cannot know, so we do not guess."""
    assert_refused(response, 503, "temporarily_unavailable")
    assert int(response.headers["retry-after"]) > 0


def assert_not_logged(server: RunningServer, *secrets: str) -> None:
    """Assert U4 for the log at DEBUG and the metrics: none of the secrets, nor a traceback."""
    for place in (server.log(), server.get("/metrics").body.decode()):
        assert place
        assert "Traceback" not in place
        for secret in secrets:
            assert secret not in place


def fingerprint(response: Response) -> tuple[int, Mapping[str, str], Mapping[str, Any]]:
    """Return all of a refusal that could tell it from another: everything but the request id and the date."""
    headers = {name: value for name, value in response.headers.items() if name not in {"date", "x-request-id"}}
    body = {name: value for name, value in response.json().items() if name != "request_id"}
    return response.status, headers, body


def events(server: RunningServer, name: str) -> list[dict[str, Any]]:
    """Return the events of the log with this name, oldest first."""
    lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def send_raw(server: RunningServer, request: bytes, *, timeout: float = 15) -> Response:
    """Send these bytes on a connection of their own and return the response, read whole."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", server.port), timeout)) as connection:
        with contextlib.suppress(ConnectionError):  # the server may answer and close before it has read all
            connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, names, response.read())


def send_large_form(server: RunningServer, path: str, body: str, authorization: str = "") -> Response:
    """Post a form that the server may refuse, and close the connection on, before it has read it all."""
    lines = [f"POST {path} HTTP/1.1", "Host: as.example", f"Content-Type: {FORM}", f"Content-Length: {len(body)}"]
    lines += [f"Authorization: {authorization}"] if authorization else []
    return send_raw(server, "\r\n".join([*lines, "", body]).encode())
