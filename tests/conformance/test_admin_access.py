"""The ADM section of the catalogue over the real server: who may call, and what nobody may do."""

from __future__ import annotations

import time

import pytest

from authserver.admin.routes import OPERATIONS
from authserver.core.identifiers import ADMIN_RESOURCE
from tests.conformance.administrators import (
    admin_token_of,
    administrator,
    assert_problem,
    everything,
    token_with,
)
from tests.conformance.expectations import assert_not_logged, events
from tests.conformance.forge import Forge, badly_signed
from tests.server import API, RunningServer, basic, start_server

CALLS = [(operation.description.method, operation.description.path) for operation in OPERATIONS]
READ_SCOPES = "clients:read resources:read claims:read keys:read revocations:read status:read"


def path_of(template: str) -> str:
    """Return a path below `/admin/v1` with ids that nobody has."""
    for name in ("client_id", "credential_id", "resource_id", "kid"):
        template = template.replace(f"{{{name}}}", "nobody")
    return template.removeprefix("/admin/v1")


@pytest.mark.parametrize(("method", "path"), CALLS, ids=lambda value: value)
def test_nobody_without_a_good_token(server: RunningServer, method: str, path: str) -> None:
    """ADM-01: without, with a made-up and with an ordinary client's token every operation is refused unread."""
    ordinary = server.create_client()
    strangers = {
        None: "invalid_token",
        "Bearer canary": "invalid_token",
        f"Bearer {server.admin_token}x": "invalid_token",
        f"Basic {server.admin_token}": "invalid_token",
        basic(ordinary["client_id"], ordinary["client_secret"]): "invalid_token",
        f"Bearer {server.token(ordinary)}": "invalid_token",
    }
    before = everything(server)
    for authorization, error in strangers.items():
        headers = {"Authorization": authorization} if authorization else {}
        response = server.request(method, f"/admin/v1{path_of(path)}", b"{not even json", headers)
        assert_problem(response, 401, error, "canary")
        assert response.headers["www-authenticate"].startswith('Bearer realm="authserver"')
    assert everything(server) == before
    assert_not_logged(server, "canary", server.admin_token)


def test_tokens_that_are_not_for_the_management_api(server: RunningServer) -> None:
    """ADM-01: another or a further audience, an expired, an altered and a foreign token are 401."""
    client = administrator(server, "clients:read")
    forge, claims = Forge(server), {"aud": ADMIN_RESOURCE, "scope": "clients:read"}
    good = admin_token_of(server, client, "clients:read")
    assert server.admin("GET", "/clients", token=good).status == 200

    def forged(**changes: object) -> str:
        return forge.sign(forge.header(), forge.claims(client["client_id"], **{**claims, **changes}))

    assert server.admin("GET", "/clients", token=forged()).status == 200  # the forge itself works
    past = int(time.time()) - 10
    for token in (
        server.token(client, resource=API),
        badly_signed(good),
        forged(aud=API),
        forged(aud=[ADMIN_RESOURCE, API]),
        forged(aud=None),
        forged(iss="https://evil.example"),
        forged(exp=past, iat=past - 60, nbf=past - 60),
        forged(nbf=int(time.time()) + 3600),
    ):
        assert_problem(server.admin("GET", "/clients", token=token), 401, "invalid_token", token)


@pytest.mark.parametrize("how", ["itself", "jti", "client", "credential", "disabled", "deleted", "all"])
def test_revoked_token(server: RunningServer, how: str) -> None:
    """ADM-01: a token is refused at once after it, its client, its secret or all was revoked."""
    client = administrator(server, READ_SCOPES)
    token = admin_token_of(server, client, "status:read")
    assert server.admin("GET", "/status", token=token).status == 200
    one, client_id = f"/clients/{client['client_id']}", client["client_id"]
    jti = server.introspect(token, client).json()["jti"]
    changed = {
        "itself": lambda: server.revoke(token, client),
        "jti": lambda: server.admin("POST", "/revocations", {"kind": "jti", "value": jti}),
        "client": lambda: server.admin("POST", "/revocations", {"kind": "client", "value": client_id}),
        "credential": lambda: server.admin(
            "POST", "/revocations", {"kind": "credential", "value": client["credential_id"]}
        ),
        "disabled": lambda: server.admin("PATCH", one, {"status": "disabled"}),
        "deleted": lambda: server.admin("DELETE", one),
        "all": lambda: server.admin("POST", "/revocations", {"kind": "all"}),
    }[how]()
    assert changed.status in {200, 201, 204}
    assert_problem(server.admin("GET", "/status", token=token), 401, "invalid_token")
    assert server.admin("GET", "/status").status == 200  # the admin token is none of ours


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: f"{o.description.method} {o.description.path}")
def test_needed_scope(server: RunningServer, operation: object) -> None:
    """ADM-02: with every scope but the needed one an operation is 403; `clients:read` makes no client."""
    description = getattr(operation, "description")  # noqa: B009 - parametrize hands out objects
    needed = description.scope.value
    including = {needed, needed.replace(":read", ":write")}
    others = {o.description.scope.value for o in OPERATIONS if o.description.scope} - including
    token = token_with(server, " ".join(sorted(others)))
    before = everything(server)
    response = server.admin(description.method, path_of(description.path), {"client_name": "canary"}, token=token)
    assert_problem(response, 403, "insufficient_scope", "canary")
    assert 'error="insufficient_scope"' in response.headers["www-authenticate"]
    assert everything(server) == before
    assert events(server, "admin.denied")[-1]["operation"] == f"{description.method} {description.path}"


def test_token_counts_not_the_client(server: RunningServer) -> None:
    """ADM-02: a token with fewer scopes than its client may have opens only what it carries."""
    client = administrator(server, "clients:write keys:write")
    token = admin_token_of(server, client, "clients:read")
    assert server.admin("GET", "/clients", token=token).status == 200
    assert_problem(server.admin("POST", "/signing-keys/rotate", {}, token=token), 403, "insufficient_scope")
    assert_problem(server.admin("POST", "/clients", {"client_name": "n"}, token=token), 403, "insufficient_scope")


@pytest.mark.parametrize(
    "metadata",
    [
        {"scope": "read admin", "audiences": [API]},
        {"scope": "clients:read", "audiences": [ADMIN_RESOURCE]},
        {"scope": "keys:write", "audiences": [ADMIN_RESOURCE]},
        {"scope": "read", "audiences": ["https://other.example"]},
        {"scope": "read", "audiences": [ADMIN_RESOURCE, "https://other.example"]},
    ],
)
def test_nobody_grants_what_he_lacks(server: RunningServer, metadata: dict[str, object]) -> None:
    """ADM-03: with `clients:write` alone one makes no client, and changes none, that holds more than oneself."""
    client = administrator(server, "clients:write", audiences=[API, ADMIN_RESOURCE])
    token = admin_token_of(server, client, "clients:write")
    allowed = metadata == {"scope": "clients:read", "audiences": [ADMIN_RESOURCE]}  # `write` includes `read`
    before = everything(server)
    response = server.admin("POST", "/clients", {"client_name": "n", **metadata}, token=token)
    if allowed:
        assert response.status == 201
        return
    assert_problem(response, 403, "insufficient_scope")
    own = f"/clients/{client['client_id']}"
    assert_problem(server.admin("PATCH", own, metadata, token=token), 403, "insufficient_scope")
    assert everything(server) == before


def test_nobody_takes_over_the_stronger(server: RunningServer) -> None:
    """ADM-03: changing, deleting, disabling or taking a new secret of a stronger client is 403."""
    strong = administrator(server, "clients:write keys:write resources:write")
    token = token_with(server, "clients:write")
    one = f"/clients/{strong['client_id']}"
    for method, path, body in (
        ("PATCH", one, {"client_name": "mine"}),
        ("PATCH", one, {"status": "disabled"}),
        ("PATCH", one, {"scope": "read", "audiences": [API]}),
        ("DELETE", one, None),
        ("POST", f"{one}/secrets", {}),
        ("DELETE", f"{one}/secrets/{strong['credential_id']}", None),
    ):
        assert_problem(server.admin(method, path, body, token=token), 403, "insufficient_scope")
    assert server.token_response(strong, resource=ADMIN_RESOURCE).status == 200


def test_replaced_admin_token(server: RunningServer) -> None:
    """ADM-01: two admin tokens work while one is replaced, then the old one is refused."""
    old, new = "old-admin-token-0123456789-abcdefghijkl", "new-admin-token-0123456789-abcdefghijkl"
    for configured, good in ((f"{old},{new}", {old, new}), (new, {new})):
        with start_server(server.data_dir, AUTHSERVER_ADMIN_TOKEN=configured) as other:
            for token in (old, new, server.admin_token, f"{old},{new}"):
                assert other.admin("GET", "/status", token=token).status == (200 if token in good else 401)
