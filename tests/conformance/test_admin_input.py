"""The ADM section of the catalogue over the real server: what is refused, what is never shown, what is recorded."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conformance.administrators import assert_problem, everything, token_with
from tests.conformance.expectations import assert_not_logged, events
from tests.server import API, Response, RunningServer, credentials

MASS_ASSIGNMENT = [
    {"is_admin": True},
    {"client_id": "x"},
    {"secret_hash": "canary"},
    {"client_secret": "canary-0123456789-abcdefghijklmnop"},
    {"secrets": []},
    {"created_at": 0},
    {"version": 7},
    {"tenant_id": 2},
    {"workspace_id": "other"},
    {"is_admin": None},
    {"__proto__": {"scope": "admin"}},
]
WRONG_LIFETIMES: list[Any] = [-1, 0, 10**9, 2**63, 2**200, True, "60", 1.5, []]
WRONG_VALUES: list[tuple[str, Any]] = [
    ("scope", ["admin"]),
    ("scope", 5),
    ("scopes", "admin"),
    ("audiences", API),
    ("audiences", [5]),
    ("trusted_metadata", "x"),
    ("trusted_metadata", []),
    ("client_name", ""),
    ("client_name", "a\nb"),
    ("status", "root"),
    ("token_endpoint_auth_method", "none"),
    ("grant_types", ["authorization_code"]),
    *(("access_token_ttl_seconds", ttl) for ttl in WRONG_LIFETIMES),
]


def raw(server: RunningServer, body: bytes, content_type: str = "application/json", method: str = "POST") -> Response:
    """Send bytes to the list of clients with the admin token."""
    headers = {"Authorization": f"Bearer {server.admin_token}", "Content-Type": content_type}
    return server.request(method, "/admin/v1/clients", body, headers)


@pytest.mark.parametrize("patch", MASS_ASSIGNMENT, ids=lambda patch: next(iter(patch)))
def test_mass_assignment(server: RunningServer, patch: dict[str, Any]) -> None:
    """ADM-04: a field that is unknown or not to be set is 422 at PATCH, and nothing changes."""
    client = server.create_client()
    before = everything(server)
    response = server.admin("PATCH", f"/clients/{client['client_id']}", {"client_name": "new", **patch})
    assert_problem(response, 422, "validation_failed", "canary")
    assert everything(server) == before
    if not {"client_id", "client_secret"} & set(patch):  # an import may set these two, and only these
        assert_problem(server.admin("POST", "/clients", {"client_name": "n", **patch}), 422, "validation_failed")
        assert everything(server) == before


def test_secrets_are_shown_once(server: RunningServer) -> None:
    """ADM-06: a secret is shown when it is made, uncached, and in no read, list, change or export afterwards."""
    client = server.create_client()
    one = f"/clients/{client['client_id']}"
    shared = server.create_resource("https://once.example.com", signing_alg="HS256")
    started = server.admin("POST", f"{one}/secrets", {})
    assert started.headers["cache-control"] == "no-store"
    secrets = [client["client_secret"], started.json()["client_secret"], shared["hs256_secret"]]
    assert all(len(secret) >= 43 for secret in secrets)
    places = [
        server.admin("GET", one),
        server.admin("GET", "/clients?limit=200"),
        server.admin("PATCH", one, {"client_name": "renamed"}),
        server.admin("POST", f"{one}/secrets/complete"),
        server.admin("GET", f"/resources/{shared['resource_id']}"),
        server.admin("GET", "/resources"),
        server.admin("GET", "/signing-keys"),
        server.admin("GET", "/status"),
        server.get("/.well-known/jwks.json"),
    ]
    assert [place.status for place in places] == [200] * len(places)
    for place in places:
        assert not any(secret.encode() in place.body for secret in secrets)
        assert not any(word in place.body for word in (b"hash", b"pbkdf2", b'"d":', b'"k":', b"sealed", b"PRIVATE"))
    assert_not_logged(server, *secrets, "pbkdf2")


@pytest.mark.parametrize(
    ("field", "value"), WRONG_VALUES, ids=[f"{name}-{value!r:.20}" for name, value in WRONG_VALUES]
)
def test_wrong_values(server: RunningServer, field: str, value: Any) -> None:
    """ADM-07, ADM-15: a wrong type or value is 422 and names its field, at the create and at the change alike."""
    client = server.create_client()
    document = {"client_name": "n", field: value}
    for response in (
        server.admin("POST", "/clients", document),
        server.admin("PATCH", f"/clients/{client['client_id']}", document),
    ):
        assert_problem(response, 422, "validation_failed")
        assert [problem["field"].partition(".")[0] for problem in response.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 1000 + b"]" * 1000, 400),
        (b'{"trusted_metadata":' + b'{"a":' * 1000 + b"1" + b"}" * 1001, 400),
        (b'{"client_name": "a", "client_name": "canary"}', 400),
        (b'{"client_name": "a", "trusted_metadata": {"x": NaN}}', 400),
        (b'{"client_name": "a", "trusted_metadata": {"x": 1e999}}', 400),
        (b'{"client_name": "a", "trusted_metadata": {"x": "\\ud800"}}', 400),
        (b'{"client_name": "a", "trusted_metadata": {"\\udfff": 1}}', 400),
        (b'\xef\xbb\xbf{"client_name": "canary"}', 400),
        (b'{"client_name": ' + b"9" * 5000 + b"}", 400),
        (b'{"client_name": "a"}}', 400),
        (b'{"client_name": "\\u0000"}', 422),
        (b'{"client_name": "a", "trusted_metadata": {"x": "' + b"y" * 66_000 + b'"}}', 413),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else str(value),
)
def test_strange_json(server: RunningServer, body: bytes, status: int) -> None:
    """ADM-08: depth 1,000, duplicate keys, NaN, half characters, a BOM and 66 KB are refused, and nothing is made."""
    before = everything(server)
    response = raw(server, body)
    assert_problem(response, status, "validation_failed" if status == 422 else "invalid_request", "canary")
    assert everything(server) == before


@pytest.mark.parametrize("path", ["/clients", "/resources", "/revocations"])
@pytest.mark.parametrize(
    "query",
    [
        *(
            "limit=-1",
            "limit=0",
            "limit=1000000000",
            "limit=x",
            "limit=",
            "limit=1&limit=2",
            "limit=%D9%A1",
            "limit=+1",
        ),
        *("after=canary", "after=", "after=%00", "sort=secret_hash", "filter=%25", "scope=admin", "%ff=1", "a=1;b=2"),
        "after=" + base64.urlsafe_b64encode(b"\0\0\0\0' OR 1=1--").decode().rstrip("="),
    ],
)
def test_strange_queries(server: RunningServer, path: str, query: str) -> None:
    """ADM-09: limits out of range, altered cursors and parameters that nobody knows are 422."""
    assert_problem(server.admin("GET", f"{path}?{query}"), 422, "validation_failed", "canary", "OR 1=1")


def test_pages_hold_everything_once(server: RunningServer) -> None:
    """ADM-09: following the cursor shows each client once, also one at a time."""
    made = {server.create_client()["client_id"] for _ in range(3)}
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = server.admin("GET", f"/clients?limit=2{after and f'&after={after}'}").json()
        seen += [client["client_id"] for client in page["items"]]
        after = page["next_after"]
    assert len(seen) == len(set(seen))
    assert made <= set(seen)


def test_lost_update(server: RunningServer) -> None:
    """ADM-10: of two changes from the same version the second is 412, and the first stays."""
    one = f"/clients/{server.create_client()['client_id']}"
    etag = {"If-Match": server.admin("GET", one).headers["etag"]}
    assert server.admin("PATCH", one, {"client_name": "first"}, headers=etag).status == 200
    assert_problem(server.admin("PATCH", one, {"client_name": "second"}, headers=etag), 412, "precondition_failed")
    assert_problem(server.admin("DELETE", one, headers=etag), 412, "precondition_failed")
    assert server.admin("GET", one).json()["client_name"] == "first"


def test_parallel_changes_from_one_version(server: RunningServer) -> None:
    """ADM-10: of twenty changes at the same time from one version one wins."""
    one = f"/clients/{server.create_client()['client_id']}"
    etag = {"If-Match": server.admin("GET", one).headers["etag"]}
    statuses = in_parallel(20, lambda n: server.admin("PATCH", one, {"client_name": f"n{n}"}, headers=etag).status)
    assert sorted(statuses) == [200] + [412] * 19


@pytest.mark.parametrize(
    "keys",
    [
        {"jwks": {"keys": [{"kty": "oct", "k": "canary"}]}},
        {"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "d": "canary"}]}},
        {"jwks": {"keys": []}, "jwks_uri": "https://c.example/jwks"},
        {"jwks_uri": "http://c.example/jwks"},
    ],
    ids=["oct", "private", "both", "http"],
)
def test_client_keys(server: RunningServer, keys: dict[str, Any]) -> None:
    """ADM-12: keys of a client are 422 as long as no authentication method uses them, so no private one is stored."""
    assert_problem(server.admin("POST", "/clients", {"client_name": "n", **keys}), 422, "validation_failed", "canary")


def test_one_id_fifty_times(server: RunningServer) -> None:
    """ADM-13: of fifty creates at the same time with one id one is 201 and works, 49 are 409."""
    document = {"client_name": "n", "client_id": "the-one", "scope": "read", "audiences": [API]}
    responses = in_parallel(50, lambda _: server.admin("POST", "/clients", document))
    assert sorted(response.status for response in responses) == [201] + [409] * 49
    (created,) = [response.json() for response in responses if response.status == 201]
    assert server.token_response(created).status == 200
    for response in responses:
        assert response.status == 201 or response.json()["error"] == "conflict"


@pytest.mark.parametrize(
    "content_type",
    [
        *("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", ""),
        *("application/json; charset=utf-16", "application/json, text/plain", "application/jsonx"),
    ],
)
def test_browser_types(server: RunningServer, content_type: str) -> None:
    """ADM-14: JSON under a type that a browser form can send is 415 on every method with a body."""
    before = everything(server)
    assert_problem(raw(server, b'{"client_name": "canary"}', content_type), 415, "invalid_request", "canary")
    headers = {"Content-Type": content_type}
    assert server.admin("PUT", "/claims-template", {"template": "{}"}, headers=headers).status == 415
    assert everything(server) == before


def test_same_rules_on_the_command_line(server: RunningServer) -> None:
    """ADM-15: what the management API refuses, the command line refuses with the reason, and the other way round."""
    client_id, _ = credentials(server.create_client())
    for options, document in (
        (("--scope", 'a"b'), {"scope": 'a"b'}),
        (("--metadata", '{"a": 1'), {"trusted_metadata": '{"a": 1'}),
        (("--audience", "not a uri"), {"audiences": ["not a uri"]}),
    ):
        created = server.cli("clients", "create", "--name", "n", *options, "--json")
        updated = server.cli("clients", "update", client_id, *options, "--json")
        for command in (created, updated):
            assert command.returncode in {1, 2}, command
            assert command.stderr.strip()
            assert "Traceback" not in command.stderr
        assert server.admin("POST", "/clients", {"client_name": "n", **document}).status == 422


def test_every_write_is_recorded(server: RunningServer) -> None:
    """ADM-16: each write leaves one record with who did it, a read or a refusal none; none can be changed here."""
    token = token_with(server, "clients:write")
    names = ("client.created", "client.updated", "client.deleted")
    before = {name: len(events(server, name)) for name in names}
    created = server.admin("POST", "/clients", {"client_name": "n", "scope": "read", "audiences": [API]}, token=token)
    one = f"/clients/{created.json()['client_id']}"
    server.admin("GET", one, token=token)
    server.admin("PATCH", one, {"scope": 5}, token=token)
    server.admin("PATCH", one, {"client_name": "m"}, token=token)
    server.admin("DELETE", one)
    records = [record for name in names for record in events(server, name)[before[name] :]]
    assert [record["event"] for record in records] == list(names)
    assert [record["client_id"] for record in records] == [created.json()["client_id"]] * 3
    assert [record["actor"].split(":")[0] for record in records] == ["client", "client", "admin-token"]
    for method in ("GET", "POST", "PATCH", "DELETE"):
        assert server.admin(method, "/audit").status == server.admin(method, "/audit/1").status == 404
    assert "audit" not in json.dumps(list(server.get("/openapi.json").json()["paths"]))


def in_parallel(times: int, call: Callable[[int], Any]) -> list[Any]:
    """Return the results of so many calls at the same time."""
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(call, range(times)))
