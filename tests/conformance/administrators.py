"""Clients that administer, made and authenticated over HTTP alone, and what a refusal to them looks like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authserver.core.identifiers import ADMIN_RESOURCE
from tests.conformance.expectations import assert_absent
from tests.server import API, Response, RunningServer


def administrator(server: RunningServer, scope: str, *, more: str = "read write", **metadata: Any) -> dict[str, Any]:
    """Create a client that holds `scope` at the management API and `more` beside it."""
    document = {"scope": f"{scope} {more}".strip(), "audiences": [ADMIN_RESOURCE, API], **metadata}
    return server.create_client(client_name="administrator", **document)


def admin_token_of(server: RunningServer, client: Mapping[str, Any], scope: str) -> str:
    """Return an access token of ours for the management API."""
    return server.token(client, resource=ADMIN_RESOURCE, scope=scope)


def token_with(server: RunningServer, scope: str, **metadata: Any) -> str:
    """Return an access token with `scope` of a new client."""
    return admin_token_of(server, administrator(server, scope, **metadata), scope)


def assert_problem(response: Response, status: int, error: str, *inputs: str) -> None:
    """Assert problem details (RFC 9457): status, code, ASCII, no-store, and none of `inputs` echoed."""
    assert response.status == status, (response.status, response.body)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.body.isascii()
    problem = response.json()
    assert (problem["status"], problem["error"]) == (status, error)
    assert problem["request_id"] == response.headers["x-request-id"]
    assert_absent(response, *inputs)


def everything(server: RunningServer) -> list[Any]:
    """Return all that the management API shows, to see that a refusal changed nothing (U3).

    But for what changes by itself: times of use, and keys that are born to be the next.
    """
    paths = ("/clients?limit=200", "/resources", "/claims-template/history", "/signing-keys", "/revocations?limit=200")
    clients, resources, history, keys, revocations = (server.admin("GET", path).json()["items"] for path in paths)
    for client in clients:
        for secret in client["secrets"]:
            del secret["last_used_at"]
    in_use = [(key["kid"], key["state"]) for key in keys if key["state"] != "next"]
    return [clients, resources, history, in_use, revocations]
