"""The token client against the server itself: every auth, every method, discovery, revocation, rotation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests

from authserver.token_client import ClientCredentials, TokenRefused
from tests.server import API, RunningServer, claims_of
from tests.token_client.scripted_server import Reply, ScriptedServer, scripted_server, travel


@pytest.fixture
def resource() -> Iterator[ScriptedServer]:
    """Yield a resource that asks the server about each token."""
    with scripted_server() as running:
        yield running


def guard(resource: ScriptedServer, server: RunningServer, client: dict[str, Any]) -> None:
    """Let the resource answer 401 unless the server says that the token is active."""

    def active(token: str | None) -> bool:
        return token is not None and bool(server.introspect(token, client).json()["active"])

    resource.serve = lambda seen: Reply() if active(seen.bearer) else Reply(401)


def credentials_for(server: RunningServer, client: dict[str, Any], **options: Any) -> ClientCredentials:
    """Return credentials of a client that was created."""
    given = {"client_id": client["client_id"], "client_secret": client["client_secret"], **options}
    if "issuer" not in options:
        given["token_endpoint"] = server.url + "/oauth2/token"
    return ClientCredentials(**given)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("by_issuer", [False, True])
def test_the_server_issues_what_was_asked_for(server: RunningServer, method: str, by_issuer: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    """Scope and audience arrive, whether the endpoint was given or found by the issuer."""
    client = server.create_client(token_endpoint_auth_method=method)
    options = {"issuer": server.url} if by_issuer else {}
    token = credentials_for(server, client, auth_method=method, scope="read", resource=API, **options).token()
    claims = claims_of(token.access_token)
    assert (claims["client_id"], claims["aud"], claims["scope"]) == (client["client_id"], API, "read")
    assert token.lifetime_ms == (claims["exp"] - claims["iat"]) * 1000


def test_a_revoked_token_is_replaced_within_the_request(server: RunningServer, resource: ScriptedServer) -> None:
    """By each of the three clients: the resource refuses, one renewal, and the answer is 200."""
    client = server.create_client()
    guard(resource, server, client)
    credentials = credentials_for(server, client)

    async def get_async() -> int:
        async with httpx2.AsyncClient(auth=credentials) as session:
            return (await session.get(resource.url)).status_code

    def get_sync() -> int:
        with httpx2.Client(auth=credentials) as session:
            return session.get(resource.url).status_code

    for get in (
        get_sync,
        lambda: asyncio.run(get_async()),
        lambda: requests.get(resource.url, auth=credentials, timeout=10).status_code,
    ):
        assert get() == 200
        assert server.revoke(credentials.token().access_token, client).status == 200
        assert get() == 200
    tokens = list(dict.fromkeys(seen.bearer for seen in resource.resource_requests))
    assert len(tokens) == 4


def test_a_rotated_secret_is_picked_up_from_its_file(server: RunningServer, tmp_path: Path) -> None:
    """The old secret ends while the process runs; the next renewal uses the new one."""
    client = server.create_client()
    file = tmp_path / "client-secret"
    file.write_text(client["client_secret"])
    credentials = credentials_for(server, client, client_secret=file)
    first = credentials.token()
    path = f"/clients/{client['client_id']}/secrets"
    file.write_text(server.admin("POST", path).json()["client_secret"])
    assert server.admin("POST", f"{path}/complete").status == 200
    travel(credentials, 3600)
    assert credentials.token() != first


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"resource": "https://other.example.com"}, "invalid_target"),
    ],
)
def test_a_refusal_tells_its_code(server: RunningServer, options: dict[str, str], error: str) -> None:
    """TokenRefused with the server's own word."""
    with pytest.raises(TokenRefused) as caught:
        credentials_for(server, server.create_client(), **options).token()
    assert caught.value.error == error
