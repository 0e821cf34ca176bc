"""The management API over HTTP, in one process: real stores behind it, a table of tokens in front."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.testclient import TestClient

from authserver.admin.authorize import AdminTokens, BearerAuthorizer
from authserver.admin.routes import admin_routes
from authserver.core.client import Client
from authserver.core.errors import InvalidToken
from tests.administration.office import API, Office

ADMIN_TOKEN = "an admin token of 32 characters or more"
CLIENTS = "/admin/v1/clients"
RESOURCES = "/admin/v1/resources"
TEMPLATE = "/admin/v1/claims-template"
KEYS = "/admin/v1/signing-keys"
REVOCATIONS = "/admin/v1/revocations"
ADMIN_AUDIENCE = "urn:authserver:admin"


class Surface:
    """The API as a caller sees it. `tokens` stand for access tokens: text to client id and scopes."""

    def __init__(self, office: Office, http: TestClient, tokens: dict[str, tuple[str, frozenset[str]]]) -> None:
        self.office = office
        self.http = http
        self.tokens = tokens

    def call(self, method: str, path: str, body: Any = None, *, token: str = ADMIN_TOKEN, **options: Any) -> Any:
        """Send a request with a JSON body and return the response."""
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        if body is not None:
            options["json"] = body
        return self.http.request(method, path, headers=headers, **options)

    def new_client(self, **metadata: Any) -> dict[str, Any]:
        """Create a client and return it."""
        response = self.call("POST", CLIENTS, {"client_name": "n", **metadata})
        assert response.status_code == 201, response.text
        client: dict[str, Any] = response.json()
        return client

    def new_admin(self, *scopes: str, more_scope: str = "read write", **metadata: Any) -> str:
        """Create a client for the management API and return an access token of it with `scopes`."""
        audiences = [ADMIN_AUDIENCE, API]
        scope = f"{' '.join(scopes)} {more_scope}".strip()
        client = self.new_client(scope=scope, audiences=audiences, **metadata)
        token = f"token-of-{client['client_id']}"
        self.tokens[token] = (client["client_id"], frozenset(scopes))
        return token

    def id_of(self, token: str) -> str:
        """Return the client of a token."""
        return self.tokens[token][0]


@contextmanager
def surface() -> Iterator[Surface]:
    """Open an API with an empty database."""
    office = Office()
    tokens: dict[str, tuple[str, frozenset[str]]] = {}

    async def check(token: str) -> tuple[frozenset[str], Client]:
        client_id, scopes = tokens.get(token, ("", frozenset()))
        client = await office.database.clients.get(client_id)
        if client is None:
            raise InvalidToken("unknown token")
        return scopes, client

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        await office.open()
        yield {}
        await office.close()

    routes = admin_routes(
        verbs=office.verbs,
        authorizer=BearerAuthorizer(admin_tokens=AdminTokens([ADMIN_TOKEN]), check=check),
        audit=office.audit,
    )
    app = Starlette(routes=routes, lifespan=lifespan)
    with TestClient(app) as http:
        yield Surface(office, http, tokens)
