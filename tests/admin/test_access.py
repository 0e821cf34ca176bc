"""Who may call the management API, and what each scope opens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from authserver.admin.operation import Operation
from authserver.admin.routes import OPERATIONS
from authserver.administration.scopes import AdminScope
from tests.admin.surface import ADMIN_TOKEN, CLIENTS, Surface, surface
from tests.administration.office import API


@pytest.fixture(scope="module")
def api() -> Iterator[Surface]:
    """Keep one API for tests that leave nothing behind but clients of their own."""
    with surface() as opened:
        yield opened


def name_of(operation: Operation) -> str:
    """Return `GET /admin/v1/clients` for a test's id."""
    return f"{operation.description.method} {operation.description.path}"


def some_path(operation: Operation) -> str:
    """Return the path with ids that name nothing."""
    return operation.description.path.replace("{", "").replace("}", "")


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_no_token_is_refused_everywhere(api: Surface, operation: Operation) -> None:
    """ADM-01, RFC 6750 §3.1: without credentials 401 with a bare Bearer challenge, at every operation."""
    response = api.http.request(operation.description.method, some_path(operation))
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="authserver"'
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_every_other_scope_is_not_enough(api: Surface, operation: Operation) -> None:
    """ADM-02: a token with all scopes but the needed one and those that include it gets 403, whatever it sends."""
    needed = operation.description.scope
    assert needed is not None
    including = {needed.value, needed.value.replace(":read", ":write")}
    token = api.new_admin(*sorted({scope.value for scope in AdminScope} - including))
    response = api.call(operation.description.method, some_path(operation), {"junk": 1}, token=token)
    assert (response.status_code, response.json()["error"]) == (403, "insufficient_scope")
    assert response.headers["www-authenticate"] == 'Bearer realm="authserver", error="insufficient_scope"'
    assert api.office.audit.names[-1] == "admin.denied"


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_the_declared_scope_opens_the_operation(operation: Operation) -> None:
    """The scope that the description names is enough: the answer is about the request, no longer about access."""
    scope = operation.description.scope
    assert scope is not None
    with surface() as api:
        token = api.new_admin(scope.value)
        response = api.call(operation.description.method, some_path(operation), {}, token=token)
        assert response.status_code not in {401, 403, 405}
        assert response.status_code < 500


def test_read_scope_does_not_write() -> None:
    """ADM-02: a client with `clients:read` that posts a client gets 403, and no client is made."""
    with surface() as api:
        token = api.new_admin("clients:read")
        assert api.call("POST", CLIENTS, {"client_name": "x"}, token=token).status_code == 403
        assert len(api.call("GET", CLIENTS).json()["items"]) == 1


def test_write_includes_read() -> None:
    """`clients:write` includes `clients:read`."""
    with surface() as api:
        assert api.call("GET", CLIENTS, token=api.new_admin("clients:write")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer wrong")],
        [("Authorization", f"Basic {ADMIN_TOKEN}")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Bearer")],
        [("Authorization", f"Bearer {ADMIN_TOKEN}x")],
        [("Authorization", f"Bearer {ADMIN_TOKEN.upper()}")],
        [("Authorization", "Bearer " + "a" * 9000)],
        [("Authorization", b"Bearer \xe9\xff")],
        [("Authorization", f"Bearer {ADMIN_TOKEN}"), ("Authorization", f"Bearer {ADMIN_TOKEN}")],
    ],
    ids=["unknown", "basic", "empty", "no token", "one more", "other case", "long", "bytes", "twice"],
)
def test_wrong_credentials(api: Surface, headers: Any) -> None:
    """ADM-01: anything but exactly one good bearer token is `invalid_token`."""
    response = api.http.get(CLIENTS, headers=headers)
    assert (response.status_code, response.json()["error"]) == (401, "invalid_token")
    assert api.office.audit.events[-1][1]["operation"] == f"GET {CLIENTS}"


def test_token_in_the_query_is_not_looked_for() -> None:
    """KEY-01, RFC 6750 §2.3: a token in the URL authenticates nobody."""
    with surface() as api:
        assert api.http.get(f"{CLIENTS}?access_token={ADMIN_TOKEN}").status_code == 401


def test_scheme_is_case_insensitive() -> None:
    """RFC 9110 §11.1: the name of the scheme is case-insensitive."""
    with surface() as api:
        assert api.http.get(CLIENTS, headers={"Authorization": f"bearer {ADMIN_TOKEN}"}).status_code == 200


def test_ordinary_client_token_is_refused() -> None:
    """ADM-01: a token whose client administers nothing opens nothing."""
    with surface() as api:
        client = api.new_client(scope="read", audiences=[API])
        api.tokens["ordinary"] = (client["client_id"], frozenset({"read"}))
        assert api.call("GET", CLIENTS, token="ordinary").status_code == 403


def test_unknown_method() -> None:
    """RFC 9110 §15.5.6: another method gets 405 with all that are allowed, before any credentials are judged."""
    with surface() as api:
        response = api.http.put(CLIENTS)
        assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")


def test_scopes_are_those_of_the_stored_resource() -> None:
    """The management API's resource, as migrated, offers exactly the scopes that the code asks for."""
    with surface() as api:
        items = api.call("GET", "/admin/v1/resources").json()["items"]
        assert [scope["name"] for scope in items[0]["scopes"]] == [scope.value for scope in AdminScope]
