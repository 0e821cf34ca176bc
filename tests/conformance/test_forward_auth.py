"""Forward-auth asked directly: what a proxy gets for which request (RFC 6750)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.expectations import assert_not_logged, assert_refused, assert_unavailable, events
from tests.conformance.test_introspection_limits import database_hung
from tests.redis_server import wait_for
from tests.server import API, Response, RunningServer, start_server

OTHER_API = "https://other.example.com"
ADMIN_API = "urn:authserver:admin"
BARE = 'Bearer realm="authserver"'
ORIGINAL = (("X-Original-Method", "GET"), ("X-Original-URI", "/a"))
INVALID = f'{BARE}, error="invalid_token"'

Client = dict[str, Any]


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Client:
    """Register the one resource, whose `write` includes `read`, and a client of it and of others."""
    server.create_resource(API, scopes=[{"name": "read"}, {"name": "write", "includes": ["read"]}, {"name": "list"}])
    template = """{
        "user_id": {{ client.trusted_metadata.user_id }}, "tenant": {"id": 7},
        "https://example.com/plan": "a b", "odd": "é\\r\\nx"
    }"""
    assert server.admin("PUT", "/claims-template", {"template": template}).status == 200
    return server.create_client(
        scope="read write list status:read",
        audiences=[API, OTHER_API, ADMIN_API],
        trusted_metadata={"user_id": "user-7"},
    )


@pytest.fixture
def token(server: RunningServer, client: Client) -> str:
    """Return a token for `read`."""
    return server.token(client, scope="read", resource=API)


def ask(server: RunningServer, token: str | None, query: str = "", **headers: str) -> Response:
    """Ask once; underscores in names of `headers` are hyphens."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    return server.get(f"/forward-auth{query}", sent)


def ask_raw(server: RunningServer, *fields: tuple[str, str], query: str = "") -> int:
    """Ask with exactly these header fields, repeated ones too; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("GET", f"/forward-auth{query}")
    for name, value in fields:
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def assert_challenged(response: Response, status: int, challenge: str) -> None:
    """Assert a refusal with its challenge (RFC 6750 §3), and that nobody is named in it."""
    assert_refused(response, status, {401: "invalid_token", 403: "insufficient_scope"}[status])
    assert response.headers["www-authenticate"] == challenge
    assert not [name for name in response.headers if name.startswith("x-auth")]


def test_a_good_token(server: RunningServer, client: Client, token: str) -> None:
    """204, no body, kept by no cache, and who it is in headers; HEAD the same."""
    for method in ("GET", "HEAD"):
        answer = server.request(method, "/forward-auth?scope=read", None, {"Authorization": f"Bearer {token}"})
        assert (answer.status, answer.body, answer.headers["cache-control"]) == (204, b"", "no-store")
        assert "content-length" not in answer.headers  # RFC 9110 §8.6
        assert {name: value for name, value in answer.headers.items() if name.startswith("x-auth")} == {
            "x-auth-client-id": client["client_id"],
            "x-auth-subject": client["client_id"],
            "x-auth-scope": "read",
            "x-auth-workspace": "default",
        }


def test_no_token(server: RunningServer) -> None:
    """RFC 6750 §3.1: without a token, or with another scheme, the challenge has no error code."""
    assert_challenged(ask(server, None), 401, BARE)
    assert_challenged(ask(server, None, "?scope=read", Authorization="Basic YTpi"), 401, BARE)
    assert_challenged(ask(server, None, Authorization="Bearer"), 401, BARE)


@pytest.mark.parametrize("value", ["bad", "a.b.c", "a b", "a, Bearer b", '"', "%00", "é"])
def test_a_bad_token(server: RunningServer, value: str) -> None:
    """A text that is no token is 401 invalid_token."""
    assert_challenged(ask(server, value), 401, INVALID)


def test_the_scheme_has_no_case(server: RunningServer, token: str) -> None:
    """RFC 9110 §11.1: schemes are compared without regard to case."""
    assert ask(server, None, Authorization=f"bEARER {token}").status == 204


def test_revoked_and_disabled(server: RunningServer) -> None:
    """INT-12, REV-07: a token is refused from its revocation on, and from the moment its client is disabled."""
    other = server.create_client()
    first, second = server.token(other), server.token(other)
    assert [ask(server, text).status for text in (first, second)] == [204, 204]
    assert server.revoke(first, other).status == 200
    assert_challenged(ask(server, first), 401, INVALID)
    assert ask(server, second).status == 204
    assert server.admin("PATCH", f"/clients/{other['client_id']}", {"status": "disabled"}).status == 200
    assert_challenged(ask(server, second), 401, INVALID)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("?scope=write", "write"),
        ("?scope=read%20write", "read write"),
        ("?scope=read+nothing", "read nothing"),
        ("?any_scope=write%20list", "write list"),
        ("?scope=read&any_scope=write", "read write"),
    ],
)
def test_wrong_scope(server: RunningServer, token: str, query: str, named: str) -> None:
    """RS-04: all of `scope` and one of `any_scope` are needed; the challenge names them (RFC 6750 §3)."""
    assert_challenged(ask(server, token, query), 403, f'{BARE}, error="insufficient_scope", scope="{named}"')


def test_enough_scope(server: RunningServer, client: Client, token: str) -> None:
    """One of several is enough where one is asked for, and `write` will do for `read`, which it includes."""
    for query in ("", "?scope=read", "?any_scope=read%20write", "?scope=read&any_scope=write+read"):
        assert ask(server, token, query).status == 204
    answer = ask(server, server.token(client, scope="write", resource=API), "?scope=read%20write")
    assert (answer.status, answer.headers["x-auth-scope"]) == (204, "write")


@pytest.mark.parametrize(
    "query",
    [
        *("?scope=read&scope=read", "?scope=", "?scope", "?resource=", "?claims=", "?any_scope=", "?claims=,"),
        *("?scopes=read", "?Scope=read", "?access_token=x", "?scope=%22", "?scope=%ff", "?scope=a%20%20b", "?a"),
        *("?claims=!", "?claims=user_id,user.id", "?claims=" + "a" * 200, "?resource=" + "a" * 600),
        "?claims=" + ",".join(f"a{number}" for number in range(21)),
        "?scope=" + "a" * 5000,
    ],
    ids=lambda query: query[:30],
)
def test_questions_that_are_none(server: RunningServer, token: str, query: str) -> None:
    """An unknown, repeated, empty or oversized parameter of the proxy is 400: it opens no door."""
    answer = ask(server, token, query)
    assert answer.status == 400
    assert answer.json()["error"] in {"invalid_request", "invalid_scope"}


def test_rs_06_two_tokens(server: RunningServer, token: str) -> None:
    """RS-06: two headers, or a header and a query, are 400; a token in a query alone is no token."""
    bearer = ("Authorization", f"Bearer {token}")
    assert ask_raw(server, bearer, bearer) == 400
    assert ask_raw(server, bearer, ("authorization", "Basic YTpi")) == 400
    assert ask_raw(server, bearer, query=f"?access_token={token}") == 400
    for name in ("access_token", "access%5Ftoken", "%61ccess_token", "a=b&access_token", "a;access_token"):
        for header in ("X-Original-URI", "X-Forwarded-Uri"):
            assert ask_raw(server, bearer, (header, f"/orders?{name}={token}")) == 400
        assert ask_raw(server, ("X-Original-URI", f"/orders?{name}={token}")) == 401
        assert server.get(f"/forward-auth/orders?{name}={token}", dict([bearer])).status == 400
    assert ask_raw(server, bearer, ("X-Original-URI", "/access_token=1?my_access_token=1&b=access_token")) == 204
    assert_not_logged(server, token)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("X-Original-URI", "/a"), ("X-Original-URI", "/a")], 400),
        ([("X-Forwarded-Method", "GET"), ("x-forwarded-method", "GET")], 400),
        ([*ORIGINAL, ("X-Forwarded-Uri", "/b")], 400),
        ([*ORIGINAL, ("X-Forwarded-Method", "GET")], 400),
        ([("X-Original-URI", "/a"), ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/a")], 400),
        ([*ORIGINAL, ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/a")], 204),
        ([("X-Original-URI", "/a")], 204),
        ([("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "a")], 204),
    ],
)
def test_smuggled_headers(server: RunningServer, token: str, fields: list[tuple[str, str]], status: int) -> None:
    """A request that is named twice and differently, or by halves, may have been named by the client: 400."""
    assert ask_raw(server, ("Authorization", f"Bearer {token}"), *fields) == status


@pytest.mark.parametrize("header", ["X-Forwarded-Uri", "X-Original-URI"])
@pytest.mark.parametrize("fragment", ["", "#a"])
def test_the_clients_query(server: RunningServer, client: Client, header: str, fragment: str) -> None:
    """RS-02: a query that is the original request's would let the client choose the audience; the log says so."""
    bearer = ("Authorization", f"Bearer {server.token(client, scope='read', resource=OTHER_API)}")
    query = f"?resource={OTHER_API}{fragment}"
    assert ask_raw(server, bearer, (header, f"/orders{query}"), query=query) == 400
    assert "uri /forward-auth?" in events(server, "request")[-1]["reason"]
    assert ask_raw(server, bearer, (header, "/orders?a=b"), query=query) == 204


def test_audiences(server: RunningServer, client: Client, token: str) -> None:
    """RS-02: the token must be for the resource that is named, or for the only one that is registered."""
    elsewhere = server.token(client, scope="read", resource=OTHER_API)
    assert_challenged(ask(server, elsewhere), 401, INVALID)
    assert_challenged(ask(server, elsewhere, f"?resource={API}"), 401, INVALID)
    assert_challenged(ask(server, token, f"?resource={API}/"), 401, INVALID)
    assert ask(server, token, f"?resource={API}").status == 204
    assert ask(server, elsewhere, f"?resource={OTHER_API}&scope=read").status == 204


def test_the_management_api_is_not_protected(server: RunningServer, client: Client) -> None:
    """A token for the management API opens nothing here, whatever the proxy says."""
    administrator = server.token(client, scope="status:read", resource=ADMIN_API)
    assert server.admin("GET", "/status", token=administrator).status == 200
    assert_challenged(ask(server, administrator), 401, INVALID)
    assert_challenged(ask(server, server.admin_token), 401, INVALID)
    assert_refused(ask(server, administrator, f"?resource={ADMIN_API}"), 403, "access_denied")


def test_claims(server: RunningServer, token: str) -> None:
    """Claims that are asked for stand in headers, safe ones; those that the token has not are empty."""
    answer = ask(server, token, "?claims=user_id,tenant+https://example.com/plan,odd,none")
    assert answer.status == 204
    assert {name: value for name, value in answer.headers.items() if name.startswith("x-auth-claim")} == {
        "x-auth-claim-user-id": "user-7",
        "x-auth-claim-tenant": '{"id":7}',
        "x-auth-claim-https-example-com-plan": "a%20b",
        "x-auth-claim-odd": "%C3%A9%0D%0Ax",
        "x-auth-claim-none": "",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_envoy(server: RunningServer, token: str, method: str) -> None:
    """Envoy asks with any method below the prefix, a body perhaps, and lets pass at 200 alone."""
    bearer = {"Authorization": f"Bearer {token}"}
    for path in ("/orders/1?scope=write&x=%ff", "/", "/a/../b", "/%2e", "//"):
        answer = server.request(method, f"/forward-auth{path}", b"" if method == "GET" else b"a body", bearer)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["x-auth-scope"] == "read"
    assert server.request(method, "/forward-auth/orders/1").status == 401


@pytest.mark.parametrize(
    "path",
    ["//forward-auth", "//forward-auth/a", "/forward%2dauth/a", "/forward-auth%2fa", "/Forward-Auth", "/forward-authx"],
)
def test_one_spelling(server: RunningServer, token: str, path: str) -> None:
    """HTTP-10: the door itself has one spelling."""
    assert server.get(path, {"Authorization": f"Bearer {token}"}).status == 404


def test_other_methods(server: RunningServer, token: str) -> None:
    """Without a path behind it the address is for GET and HEAD."""
    answer = server.request("POST", "/forward-auth", b"", {"Authorization": f"Bearer {token}"})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_what_is_logged_and_counted(server: RunningServer, client: Client, token: str) -> None:
    """LOG-02, LOG-04: client and reason are logged, under one name in the metrics; no token, no original query."""
    ask(server, token, X_Original_URI="/orders?canary=1")
    ask(server, f"canary{token}", "?scope=read")
    server.get("/forward-auth/orders?canary=1", {"Authorization": f"Bearer {token}"})
    found = [line for line in events(server, "request") if str(line["path"]).startswith("/forward-auth")]
    assert [line.get("client_id") for line in found[-3:]] == [client["client_id"], None, client["client_id"]]
    assert (found[-2]["error"], bool(found[-2]["reason"])) == ("invalid_token", True)
    assert_not_logged(server, token, token.rpartition(".")[2], "canary")
    assert 'endpoint="forward_auth",status="204"' in server.get("/metrics").body.decode()


@pytest.fixture
def several(server: RunningServer, client: Client) -> Iterator[None]:
    """Register a second resource for a while."""
    resource = server.create_resource(OTHER_API)
    yield
    path = f"/resources/{resource['resource_id']}"
    assert server.admin("DELETE", path, headers={"If-Match": '"1"'}).status in {200, 204}


def test_several_resources(server: RunningServer, client: Client, token: str, several: None) -> None:
    """Where several are registered the proxy must say which one it protects; the log says so."""
    assert_refused(ask(server, token), 403, "access_denied")
    assert "say ?resource=" in events(server, "request")[-1]["reason"]
    assert ask(server, token, f"?resource={API}").status == 204
    assert_challenged(ask(server, token, f"?resource={OTHER_API}"), 401, INVALID)


def test_description(server: RunningServer) -> None:
    """The OpenAPI document has the address, and its parameters are the ones that are read."""
    described = json.loads(server.get("/openapi.json").body)["paths"]["/forward-auth"]["get"]
    assert {parameter["name"] for parameter in described["parameters"]} == {"scope", "any_scope", "resource", "claims"}


def test_int_10_revocations_may_be_missed(tmp_path: Path) -> None:
    """INT-10: while revocations may be missed the answer is E503, never 204; then it is back."""
    with start_server(tmp_path, AUTHSERVER_REVOCATION_GRACE_SECONDS="1") as server:
        server.create_resource(API)
        token = server.token(server.create_client())
        assert ask(server, token).status == 204
        with database_hung(server):
            wait_for(lambda: ask(server, token).status == 503, "503")
            assert_unavailable(ask(server, token))
            assert ask(server, "bad").status == 401
        wait_for(lambda: ask(server, token).status == 204, "204")
