"""A real MCP server that takes our tokens, and the client of its SDK."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp.shared.exceptions import MCPError
from mcp_types import TextContent
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from authserver.resource_server import Verifier
from authserver.resource_server.asgi import ResourceServer
from authserver.resource_server.mcp import AccessTokenVerifier
from tests.redis_server import wait_for
from tests.resource_server.deployment import Deployment, ask, serve_asgi
from tests.server import Response, free_port


@pytest.fixture(scope="module")
def tools(deployment: Deployment) -> Deployment:
    """Return a resource that is an MCP server, at a free port."""
    return Deployment.of(deployment.server, f"http://127.0.0.1:{free_port()}/mcp")


def application(tools: Deployment, verifier: Verifier) -> Starlette:
    """Return an MCP server with one tool, for callers that may read, as the module's docstring has it."""
    server = MCPServer(
        "tools",
        token_verifier=AccessTokenVerifier(verifier),
        auth=AuthSettings(
            issuer_url=AnyHttpUrl(tools.server.url),
            resource_server_url=AnyHttpUrl(tools.document["audience"]),
            required_scopes=["read"],
            validate_token_resource=True,
        ),
    )

    @server.tool()
    def whoami() -> str:
        """Say who calls."""
        token = get_access_token()
        assert token is not None
        return f"{token.client_id} {token.subject} {' '.join(token.scopes)} {(token.claims or {})['iss']}"

    app = server.streamable_http_app()
    app.add_middleware(ResourceServer, verifier=verifier)
    return app


@pytest.fixture(scope="module")
def url(tools: Deployment) -> Iterator[str]:
    """Yield the URL of the MCP server."""
    port = urlsplit(tools.document["audience"]).port
    with serve_asgi(application(tools, tools.verifier(Verifier)), port=port, lifespan="on") as url:
        yield url


@contextlib.asynccontextmanager
async def session(url: str, headers: dict[str, str], auth: httpx2.Auth | None = None) -> AsyncIterator[ClientSession]:
    """Yield a session of the SDK's client."""
    async with (
        httpx2.AsyncClient(headers=headers, auth=auth) as http,
        streamable_http_client(f"{url}/mcp", http_client=http) as (incoming, outgoing),
        ClientSession(incoming, outgoing) as client,
    ):
        await client.initialize()
        yield client


async def call(url: str, headers: dict[str, str], auth: httpx2.Auth | None = None) -> str:
    """Call the tool; return what it says."""
    async with session(url, headers, auth) as client:
        (content,) = (await client.call_tool("whoami", {})).content
    assert isinstance(content, TextContent)
    return content.text


def post(url: str, headers: dict[str, str]) -> Response:
    """Send one message by hand."""
    message = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
    headers = headers | {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    return ask(url, "/mcp", headers, method="POST", body=message)


def test_a_good_token_calls_a_tool(tools: Deployment, url: str) -> None:
    """The tool learns who calls, with what is included in the scope."""
    client_id = tools.caller["client_id"]
    assert asyncio.run(call(url, tools.bearer("write"))) == f"{client_id} {client_id} read write {tools.server.url}"


class Storage:
    """Keeps the client's token while the test runs."""

    def __init__(self) -> None:
        self.token: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """Return what was kept."""
        return self.token

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep it."""
        self.token = tokens

    async def get_client_info(self) -> None:
        """Know nothing: the client is registered."""

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Have nothing to keep."""


def test_a_client_finds_its_way_from_the_refusal_to_the_tool(tools: Deployment, url: str) -> None:
    """It knows its credentials and the issuer; the SDK learns from the 401 where and for what to get a token."""
    auth = ClientCredentialsOAuthProvider(
        server_url=f"{url}/mcp",
        storage=Storage(),
        client_id=tools.caller["client_id"],
        client_secret=tools.caller["client_secret"],
        issuer=tools.server.url,
    )
    assert tools.caller["client_id"] in asyncio.run(call(url, {}, auth))


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer nonsense", "Bearer  a.b.c ", "Bearer \xe9"])
def test_a_bad_token_is_401(url: str, authorization: str) -> None:
    """As the SDK answers it, with the way to the description of the resource (RFC 9728 §5.1)."""
    response = post(url, {"Authorization": authorization} if authorization else {})
    assert response.status == 401
    assert f'resource_metadata="{url}/.well-known/oauth-protected-resource/mcp"' in response.headers["www-authenticate"]


def test_the_client_of_the_sdk_is_told(deployment: Deployment, tools: Deployment, url: str) -> None:
    """No session comes about with a token that is not for this server, of too little scope, or none."""
    for headers in ({}, {"Authorization": "Bearer nonsense"}, deployment.bearer(), tools.bearer("admin")):
        with pytest.raises(Exception) as refused:  # noqa: PT011 - the SDK raises a group of whatever its tasks raise
            asyncio.run(call(url, headers))
        assert isinstance(_leaf(refused.value), MCPError)


def test_too_little_scope_is_403(tools: Deployment, url: str) -> None:
    """`required_scopes` are the SDK's to check."""
    assert post(url, tools.bearer("admin")).status == 403


def test_a_revoked_token_is_401(tools: Deployment, url: str) -> None:
    """Also in the middle of a session."""
    bearer = tools.bearer("read")

    async def until_refused() -> None:
        async with session(url, bearer) as client:
            assert not (await client.call_tool("whoami", {})).is_error
            await asyncio.to_thread(tools.revoke, bearer)
            async with asyncio.timeout(5):
                while True:
                    await client.call_tool("whoami", {})

    with pytest.raises(Exception) as refused:  # noqa: PT011 - the SDK raises a group of whatever its tasks raise
        asyncio.run(until_refused())
    assert isinstance(_leaf(refused.value), MCPError)
    assert post(url, bearer).status == 401


@pytest.mark.parametrize("suffix", ["", "/mcp"])
def test_the_server_describes_itself(tools: Deployment, url: str, suffix: str) -> None:
    """RFC 9728: where the SDK's clients look for it."""
    document = ask(url, f"/.well-known/oauth-protected-resource{suffix}").json()
    assert document["resource"] == f"{url}/mcp"
    assert document["authorization_servers"] == [tools.server.url]
    assert document["scopes_supported"] == ["admin", "read", "write"]


def test_while_the_authorization_server_is_away_the_answer_is_503(tools: Deployment) -> None:
    """Not 401, after which a client would throw a good token away, and no failure of the server's."""
    bearer = tools.bearer("read")
    with tools.detour() as (document, appear):
        app = application(tools, tools.verifier(Verifier, document))
        with serve_asgi(app, lifespan="on") as url:
            response = post(url, bearer)
            assert (response.status, response.json()["error"]) == (503, "temporarily_unavailable")
            assert response.headers["retry-after"] == "1"
            appear()
            wait_for(lambda: post(url, bearer).status != 503, "the authorization server")
            assert tools.caller["client_id"] in asyncio.run(call(url, bearer))


def test_a_mounted_server_has_the_middleware_twice(tools: Deployment) -> None:
    """Its own answers 503, which its parent's would be too late for; the parent's describes the resource."""
    bearer = tools.bearer("read")
    with tools.detour() as (document, _):
        verifier = tools.verifier(Verifier, document)
        parent = Starlette(routes=[Mount("/tools", application(tools, verifier))])
        parent.add_middleware(ResourceServer, verifier=verifier)
        with TestClient(parent) as client:
            assert client.post("/tools/mcp", headers=bearer).status_code == 503
            assert client.get("/.well-known/oauth-protected-resource/mcp").status_code == 200


def _leaf(error: Any) -> BaseException:
    """Return what is inside a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, BaseException)
    return error
