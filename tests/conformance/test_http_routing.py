"""The HTTP section of the catalogue: spellings of paths, JSON that is none, overload, and headers on every route."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from authserver.admin.routes import OPERATIONS
from tests.conformance.expectations import assert_absent, assert_not_logged, assert_safe, events, send_raw
from tests.redis_server import wait_for
from tests.server import FORM, Response, RunningServer, start_server

#: A secret that was chosen elsewhere costs 600,000 rounds: such a request is at work for a while.
LABORIOUS = (
    b"POST /oauth2/token HTTP/1.1\r\nHost: a\r\nContent-Type: "
    + FORM.encode()
    + b"\r\nAuthorization: Basic Y2w6d3Jvbmc=\r\nContent-Length: 29\r\n\r\ngrant_type=client_credentials"
)
PUBLIC = (
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/openapi.json",
)
ENDPOINTS = [
    *(
        ("GET", path)
        for path in (*PUBLIC, "/health/live", "/health/ready", "/metrics", "/forward-auth", "/nothing-here")
    ),
    *(("POST", path) for path in ("/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/authorize")),
    ("GET", "/oauth2/authorize"),
    ("GET", "/nothing%2fhere"),
    *((operation.description.method, operation.description.path) for operation in OPERATIONS),
]


@pytest.mark.parametrize(
    "path",
    [
        "/x/../admin/v1/clients",
        "//admin/v1/clients",
        "/admin//v1/clients",
        "/admin%2fv1/clients",
        "/admin%2Fv1%2Fclients",
        "/admin%5cv1%5cclients",
        "/%2e%2e/admin/v1/clients",
        "/admin/.",
        "/admin/v1/clients/.",
        "/admin/v1/clients/..",
        "/admin/v1/clients/%2e%2e/clients",
        "/admin/v1/./clients",
        "/admin/v1/clients/",
        "/admin/v1/clients;x=y",
        "/admin/v1/clients%00",
        "/admin/v1/clients%3f",
        "/admin/v1/clients%20",
        "/ADMIN/v1/clients",
        "/%61dmin/v1/clients",
        "/admin/v1/%63lients",
        "/health/live/../../admin/v1/clients",
    ],
)
def test_only_one_spelling_of_a_path(server: RunningServer, path: str) -> None:
    """HTTP-10: no other spelling of a path reaches the management API, not even with the admin token."""
    response = _as_administrator(server, path)
    assert (response.status, response.json()["error"]) == (404, "not_found")
    assert_absent(response, path)


@pytest.mark.parametrize(
    "path",
    ["/oauth2//token", "/oauth2/token/", "/oauth2/%74oken", "/OAUTH2/token", "/x/../oauth2/token", "/oauth2/token%20"],
)
def test_only_one_spelling_of_an_endpoint(server: RunningServer, path: str) -> None:
    """HTTP-10: good credentials at another spelling of the token endpoint get 404 and no token."""
    client = server.create_client()
    response = server.form(path, {"grant_type": "client_credentials"}, (client["client_id"], client["client_secret"]))
    assert (response.status, response.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    "prefix", ["/health/live/..", "/.well-known", "/oauth2", "/metrics", "/health/live;", "/health/live?x=", ""]
)
def test_no_prefix_opens_the_management_api(server: RunningServer, prefix: str) -> None:
    """HTTP-10: behind the name of a public place the management API is not there for those without credentials."""
    response = server.get(f"{prefix}/admin/v1/clients")
    assert b'"items"' not in response.body
    assert response.status in {200, 401, 404}
    assert (response.status == 200) == prefix.endswith("?x=")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"not json", 400),
        ('{"client_name": "canary"}'.encode("utf-16"), 400),
        (b"\xef\xbb\xbf{}", 400),
        (b'{"client_name": "\xff"}', 400),
        (b'{"a": NaN}', 400),
        (b"[" * 60_000, 400),
        (b"[]", 422),
        (b'"canary"', 422),
        (b"5", 422),
        (b"null", 422),
        (b'{"client_name": 5}', 422),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else value,
)
def test_broken_json(server: RunningServer, body: bytes, status: int) -> None:
    """HTTP-13: invalid JSON, a wrong type and UTF-16 are 400 or 422 in problem details, on POST and on PATCH."""
    client_id = server.create_client()["client_id"]
    for method, path in (("POST", "/admin/v1/clients"), ("PATCH", f"/admin/v1/clients/{client_id}")):
        response = _as_administrator(server, path, method, body)
        assert response.status == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["cache-control"] == "no-store"
        assert_absent(response, "canary")
    assert_not_logged(server, "canary")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Yield a server that works on two requests at a time."""
    data_dir: Path = tmp_path_factory.mktemp("narrow")
    with start_server(data_dir, AUTHSERVER_MAX_REQUESTS="2") as running:
        yield running


def test_overload(narrow: RunningServer) -> None:
    """HTTP-12: beyond the cap a quick 503 with Retry-After, health excepted; afterwards all is well."""
    client = narrow.create_client()
    narrow.create_client(client_id="cl", client_secret="chosen-elsewhere-0123456789")
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", narrow.port)))
            peer.sendall(LABORIOUS)
        time.sleep(0.05)
        began = time.monotonic()
        refused = narrow.token_response(client)
        assert time.monotonic() - began < 1
        assert (refused.status, refused.json()) == (503, {"error": "temporarily_unavailable"})
        assert_safe(refused)
        assert [narrow.get(path).status for path in ("/health/live", "/health/ready")] == [200, 200]
        assert narrow.get("/metrics").status == 503
    wait_for(lambda: narrow.token_response(client).status == 200, "the work to be done", 5)


@pytest.mark.parametrize(("method", "path"), ENDPOINTS, ids=lambda value: value)
def test_headers_on_every_route(server: RunningServer, method: str, path: str) -> None:
    """META-09: `nosniff`, `no-referrer` and a request id on all; `no-store` on whatever is not public."""
    for token in (None, "canary", server.admin_token):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = server.request(method, path.replace("{", "").replace("}", ""), None, headers)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["x-request-id"]
        assert "server" not in response.headers
        public = path in PUBLIC
        assert response.headers["cache-control"].startswith("public, max-age=" if public else "no-store")
        assert ("access-control-allow-origin" in response.headers) == public


@pytest.mark.parametrize(("method", "path"), ENDPOINTS, ids=lambda value: value)
def test_wrong_method_on_every_route(server: RunningServer, method: str, path: str) -> None:
    """HTTP-10, META-09: a method that a route has not is 405 with the ones it has, as safe as any other answer."""
    if "nothing" in path:
        path = "/oauth2/token"
    response = send_raw(server, f"QUERY {path.replace('{', '').replace('}', '')} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    if response.status == 400:  # the parser knows no such method
        response = server.request("TRACE", path.replace("{", "").replace("}", ""))
    assert (response.status, response.json()["error"]) == (405, "invalid_request")
    assert response.headers["allow"]
    assert "TRACE" not in response.headers["allow"]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_request_id_is_ours(server: RunningServer) -> None:
    """LOG-01: the request id comes from the server, stands in header, body and log, and is never the caller's."""
    response = server.request("POST", "/oauth2/token", b"", {"X-Request-Id": "canary", "Content-Type": FORM})
    request_id = response.headers["x-request-id"]
    assert response.json()["request_id"] == request_id != "canary"
    (line,) = [line for line in events(server, "request") if line["request_id"] == request_id]
    assert line["status"] == 401


def _as_administrator(server: RunningServer, path: str, method: str = "GET", body: bytes | None = None) -> Response:
    headers = {"Authorization": f"Bearer {server.admin_token}", "Content-Type": "application/json"}
    return server.request(method, path, body, headers)
