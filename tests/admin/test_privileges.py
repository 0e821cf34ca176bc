"""Nobody can grant, or take over, what he does not have himself (ADM-03)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin.surface import ADMIN_AUDIENCE, CLIENTS, RESOURCES, REVOCATIONS, surface
from tests.administration.office import API


@pytest.mark.parametrize(
    "body",
    [
        {"scope": "read delete"},
        {"scope": "read delete", "audiences": [API]},
        {"scope": "clients:write keys:read", "audiences": [ADMIN_AUDIENCE]},
        {"scope": "keys:write", "audiences": [ADMIN_AUDIENCE]},
        {"scope": "read", "audiences": [API, "https://other.example"]},
    ],
    ids=str,
)
def test_nobody_grants_what_he_lacks(body: dict[str, Any]) -> None:
    """ADM-03: a client may not create one with a scope or an audience that it lacks."""
    with surface() as api:
        token = api.new_admin("clients:write")
        response = api.call("POST", CLIENTS, {"client_name": "n", **body}, token=token)
        assert (response.status_code, response.json()["error"]) == (403, "insufficient_scope")
        assert len(api.call("GET", CLIENTS).json()["items"]) == 1


def test_the_token_counts_at_the_management_api() -> None:
    """ADM-03: what the client may ask for but its token does not carry cannot be granted either."""
    with surface() as api:
        token = api.new_admin("clients:write", "keys:write")
        api.tokens[token] = (api.id_of(token), frozenset({"clients:write"}))
        body = {"client_name": "n", "scope": "keys:write", "audiences": [ADMIN_AUDIENCE]}
        assert api.call("POST", CLIENTS, body, token=token).status_code == 403


def test_grants_within_its_own() -> None:
    """ADM-03: what the actor has, with what it includes, can be granted."""
    with surface() as api:
        token = api.new_admin("clients:write")
        same = {"client_name": "n", "scope": "clients:read read", "audiences": [ADMIN_AUDIENCE, API]}
        assert api.call("POST", CLIENTS, same, token=token).status_code == 403  # `clients:read` at API is not its own
        body = {"client_name": "n", "scope": "clients:read", "audiences": [ADMIN_AUDIENCE]}
        assert api.call("POST", CLIENTS, body, token=token).status_code == 201
        assert api.call("POST", CLIENTS, {"client_name": "n", "scope": "read"}, token=token).status_code == 201


def test_nobody_promotes_himself() -> None:
    """ADM-03: a client cannot edit itself to hold more."""
    with surface() as api:
        token = api.new_admin("clients:write")
        own = f"{CLIENTS}/{api.id_of(token)}"
        for patch in ({"scope": "clients:write keys:write"}, {"audiences": [ADMIN_AUDIENCE, API, "urn:example:c"]}):
            assert api.call("PATCH", own, patch, token=token).status_code == 403
        assert api.call("PATCH", own, {"client_name": "me"}, token=token).status_code == 200


@pytest.mark.parametrize(
    ("method", "tail", "body"),
    [
        ("PATCH", "", {"scope": ""}),
        ("PATCH", "", {"status": "disabled"}),
        ("DELETE", "", None),
        ("POST", "/secrets", {}),
        ("POST", "/secrets/complete", {}),
        ("POST", "/secrets/cancel", {}),
        ("DELETE", "/secrets/CREDENTIAL", None),
    ],
)
def test_a_stronger_client_is_out_of_reach(method: str, tail: str, body: Any) -> None:
    """ADM-03: nobody takes over, weakens, disables or deletes a client that is stronger than himself."""
    with surface() as api:
        strong = api.new_client(scope="keys:write", audiences=[ADMIN_AUDIENCE])
        token = api.new_admin("clients:write")
        path = f"{CLIENTS}/{strong['client_id']}" + tail.replace("CREDENTIAL", strong["credential_id"])
        assert api.call(method, path, body, token=token).status_code == 403
        assert api.call("GET", REVOCATIONS).json()["items"] == []


def test_a_resource_server_is_stronger() -> None:
    """ADM-03: a client that serves a resource is out of reach for an actor that does not."""
    with surface() as api:
        server = api.new_client()
        api.call("POST", RESOURCES, {"identifier": API, "resource_servers": [server["client_id"]]})
        token = api.new_admin("clients:write")
        assert api.call("POST", f"{CLIENTS}/{server['client_id']}/secrets", {}, token=token).status_code == 403
