"""Forward-auth with a file of rules: method and path of the original request decide what is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.expectations import assert_not_logged, assert_refused, events
from tests.conformance.test_start import refused_start
from tests.server import API, Response, RunningServer, free_port, start_server

OTHER_API = "https://other.example.com"
RULES = {
    "rules": [
        {"methods": ["GET"], "path": "/orders/*", "scope": "read"},
        {"methods": ["POST", "PUT"], "path": "/orders/**", "any_scope": "write admin"},
        {"methods": ["GET"], "path": "/other", "scope": "read", "resource": OTHER_API},
        {"methods": ["GET"], "path": "/any", "scope": ""},
        {"methods": ["*"], "path": "/public/**", "anonymous": True},
    ],
    "claims": {"user_id": "X-Auth-User-Id"},
}

Client = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Yield a server with rules."""
    data_dir: Path = tmp_path_factory.mktemp("server")
    (data_dir / "rules.json").write_text(json.dumps(RULES))
    with start_server(
        data_dir, AUTHSERVER_LOG_LEVEL="debug", AUTHSERVER_FORWARD_AUTH_RULES=str(data_dir / "rules.json")
    ) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Client:
    """Register one resource, and a client of it whose user is known."""
    server.create_resource(API)
    template = {"template": '{"user_id": {{ client.trusted_metadata.user_id }}}'}
    assert server.admin("PUT", "/claims-template", template).status == 200
    return server.create_client(audiences=[API, OTHER_API], trusted_metadata={"user_id": "user-7"})


def in_three_ways(server: RunningServer, method: str, uri: str, token: str | None, query: str = "") -> Response:
    """Ask as nginx, Caddy and Envoy do, see that the answers agree, and return the first."""
    bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
    nginx = server.get(f"/forward-auth{query}", {"X-Original-Method": method, "X-Original-URI": uri, **bearer})
    caddy = server.get(f"/forward-auth{query}", {"X-Forwarded-Method": method, "X-Forwarded-Uri": uri, **bearer})
    assert caddy.status == nginx.status
    if not query:
        envoy = server.request(method, f"/forward-auth{uri}", None, bearer)
        assert envoy.status == {204: 200}.get(nginx.status, nginx.status)
    return nginx


@pytest.mark.parametrize(
    ("request_line", "scope", "status"),
    [
        ("GET /orders/1", "read", 204),
        ("GET /orders/1?a=/../b", "read write", 204),
        ("GET /orders/1", "write", 403),
        ("POST /orders", "write", 204),
        ("PUT /orders/1/items", "write", 204),
        ("POST /orders/1", "read", 403),
        ("DELETE /orders/1", "read write", 403),
        ("HEAD /orders/1", "read", 403),
        ("GET /orders", "read", 403),
        ("GET /Orders/1", "read", 403),
        ("GET /any", "write", 204),
        ("GET /unknown", "read write", 403),
        ("GET /orders/%2e%2e", "read", 403),
        ("GET /orders/a%2fb", "read", 403),
        ("GET /orders/a;b", "read", 403),
    ],
)
def test_rules(server: RunningServer, client: Client, request_line: str, scope: str, status: int) -> None:
    """Method and path decide which scopes are needed; what no rule names is refused."""
    method, uri = request_line.split()
    answer = in_three_ways(server, method, uri, server.token(client, scope=scope, resource=API))
    assert answer.status == status
    if status == 204:
        assert answer.headers["x-auth-user-id"] == "user-7"


def test_the_challenge_names_the_scopes(server: RunningServer, client: Client) -> None:
    """RFC 6750 §3: whoever lacks a scope reads which one; what fits no rule is refused without one."""
    token = server.token(client, scope="read", resource=API)
    challenge = in_three_ways(server, "POST", "/orders", token).headers["www-authenticate"]
    assert challenge == 'Bearer realm="authserver", error="insufficient_scope", scope="write admin"'
    assert_refused(in_three_ways(server, "GET", "/unknown", token), 403, "access_denied")


def test_no_token(server: RunningServer, client: Client) -> None:
    """Without a token a request is 401 where one would help, and 403 where none would."""
    assert in_three_ways(server, "GET", "/orders/1", None).status == 401
    assert in_three_ways(server, "GET", "/unknown", None).status == 403


@pytest.mark.parametrize("token", [None, "bad"])
def test_anonymous(server: RunningServer, client: Client, token: str | None) -> None:
    """A public path needs nobody, and the identity headers are there, empty, to overwrite what a client sent."""
    for uri in ("/public", "/public/a/b?c=d"):
        answer = in_three_ways(server, "DELETE", uri, token)
        assert answer.status == 204
        assert {value for name, value in answer.headers.items() if name.startswith("x-auth-")} == {""}
        assert "x-auth-user-id" in answer.headers


def test_the_proxy_may_ask_for_more(server: RunningServer, client: Client) -> None:
    """Rules and parameters must both be met; a scope that the proxy asks for ends anonymity."""
    token = server.token(client, scope="read", resource=API)
    assert in_three_ways(server, "GET", "/orders/1", token, "?scope=read").status == 204
    assert in_three_ways(server, "GET", "/orders/1", token, "?scope=write").status == 403
    assert in_three_ways(server, "GET", "/public/a", None, "?scope=read").status == 401
    assert in_three_ways(server, "GET", "/public/a", token, "?scope=read").headers["x-auth-scope"] == "read"


def test_a_rule_with_a_resource(server: RunningServer, client: Client) -> None:
    """Its audience counts where the proxy names none, and it is not there where the proxy names another."""
    token = server.token(client, scope="read", resource=OTHER_API)
    assert in_three_ways(server, "GET", "/other", token).status == 204
    assert in_three_ways(server, "GET", "/other", token, f"?resource={OTHER_API}").status == 204
    assert in_three_ways(server, "GET", "/other", server.token(client, scope="read", resource=API)).status == 401
    assert in_three_ways(server, "GET", "/other", token, f"?resource={API}").status == 403
    assert in_three_ways(server, "GET", "/any", token).status == 401


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"X-Original-Method": "GET"},
        {"X-Original-URI": "/any"},
        {"X-Forwarded-Method": "GET"},
        {"X-Forwarded-Uri": "/any"},
        {"X-Original-Method": "", "X-Original-URI": "/any"},
        {"X-Original-Method": "get", "X-Original-URI": "/any"},
        {"X-Original-Method": "GET", "X-Original-URI": ""},
        {"X-Original-Method": "GET", "X-Original-URI": "https://orders.example/any"},
        {"X-Original-Method": "GET", "X-Original-URI": "any"},
        {"X-Original-Method": "GET", "X-Original-URI": "/any /x"},
    ],
    ids=str,
)
def test_nothing_is_guessed(server: RunningServer, client: Client, fields: dict[str, str]) -> None:
    """A proxy that does not say what the original request was gets nobody in; the log says why."""
    token = server.token(client, scope="read", resource=API)
    answer = server.get("/forward-auth", {"Authorization": f"Bearer {token}", **fields})
    assert_refused(answer, 403, "access_denied")
    assert "original" in events(server, "request")[-1]["reason"]


def test_a_client_cannot_name_another_request(server: RunningServer, client: Client) -> None:
    """Headers that a client has sent through Envoy, and that differ from its request, are 400."""
    smuggled = {"X-Original-Method": "GET", "X-Original-URI": "/public/a"}
    assert server.request("GET", "/forward-auth/orders/1", None, smuggled).status == 400
    assert server.request("GET", "/forward-auth/public/a", None, smuggled).status == 200
    assert server.request("GET", "/forward-auth/orders/1", None, {"X-Forwarded-Uri": "/orders/1"}).status == 400


def test_no_query_is_logged(server: RunningServer, client: Client) -> None:
    """LOG-02: the query of the original request is in no line of the log."""
    in_three_ways(server, "GET", "/orders/1?canary=1", server.token(client, scope="read", resource=API))
    in_three_ways(server, "GET", "/orders/../1?canary=1", None)
    assert_not_logged(server, "canary")


def test_faults_in_the_file_keep_the_server_from_starting(tmp_path: Path) -> None:
    """META-08: everything that is wrong with the rules is in one message with everything else, one line each."""
    file = tmp_path / "rules.json"
    file.write_text(
        '{"rules": [{"methods": ["GET"], "path": "orders", "scope": "read"}, {"methods": ["GET"], "path": "/"}]}'
    )
    settings = {"AUTHSERVER_FORWARD_AUTH_RULES": str(file), "AUTHSERVER_ADMIN_TOKEN": "short"}
    lines = refused_start(tmp_path / "data", settings, "--dev", "--port", str(free_port()))
    text = "\n".join(lines)
    for place in ("rules[0].path: ", "rules[1]: "):
        assert f"AUTHSERVER_FORWARD_AUTH_RULES: {place}" in text
    assert "AUTHSERVER_ADMIN_TOKEN" in text
