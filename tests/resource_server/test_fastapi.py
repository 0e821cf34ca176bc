"""What FastAPI's dependencies ask of their callers."""

# Without `from __future__ import annotations`: the routes are defined inside a function.

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Form, Request, Response, WebSocket
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from authserver.resource_server import VerifiedToken, Verifier
from authserver.resource_server.fastapi import ResourceServer, require
from tests.resource_server.deployment import Deployment, serve_asgi
from tests.resource_server.integration import Integration
from tests.server import FORM


def application() -> FastAPI:
    """Return the application without the middleware."""
    app = FastAPI()

    @app.get("/read")
    async def read(token: Annotated[VerifiedToken, Depends(require("read"))]) -> dict[str, str]:
        return {"client_id": token.client_id}

    @app.get("/write", dependencies=[Depends(require(["write"]))])
    async def write() -> None:
        """Be dependent in the decorator."""

    @app.get("/any")
    def any_of(token: Annotated[VerifiedToken, Depends(require(any_of=("admin", "write")))]) -> dict[str, str]:
        return {"client_id": token.client_id}

    @app.post("/form", dependencies=[Depends(require("read"))])
    async def form(request: Request) -> Response:
        return Response(await request.body())

    @app.post("/fields", dependencies=[Depends(require("read"))])
    async def fields(name: Annotated[str, Form()]) -> dict[str, str]:
        return {"name": name}

    @app.get("/health")
    async def health() -> None:
        """Be well."""

    @app.websocket("/hello")
    async def hello(websocket: WebSocket, token: Annotated[VerifiedToken, Depends(require("read"))]) -> None:
        await websocket.accept()
        await websocket.send_text(token.client_id)
        await websocket.close()

    @app.exception_handler(Exception)
    async def fail(_: Request, error: Exception) -> Response:
        raise AssertionError from error

    return app


class TestFastApi(Integration):
    """The middleware is added to the application."""

    kind = Verifier

    @classmethod
    @contextlib.contextmanager
    def serve(cls, verifier: Any) -> Iterator[str]:
        """Serve it with uvicorn."""
        app = application()
        app.add_middleware(ResourceServer, verifier=verifier, resource_name="Orders")
        with serve_asgi(app, lifespan="on") as url:
            yield url


@pytest.fixture(params=["inside", "above a mounted one"])
def client(request: pytest.FixtureRequest, deployment: Deployment) -> Iterator[TestClient]:
    """Yield a client of the application, alone or mounted into another."""
    app = application()
    if request.param != "inside":
        outer = FastAPI()
        outer.mount("/", app)
        app = outer
    app.add_middleware(ResourceServer, verifier=deployment.verifier(Verifier))
    with TestClient(app) as client:
        yield client


def test_a_form_that_was_parsed_before_is_looked_at_all_the_same(client: TestClient, deployment: Deployment) -> None:
    """RS-06: FastAPI reads a form before it asks the dependencies."""
    headers = deployment.bearer() | {"Content-Type": FORM}
    assert client.post("/fields", headers=headers, content="name=a").json() == {"name": "a"}
    assert client.post("/fields", headers=headers, content="name=a&access_token=x").status_code == 400


def test_a_test_may_take_the_place_of_a_requirement() -> None:
    """Requirements of the same scopes are equal, wherever they are written."""
    app = application()
    app.dependency_overrides[require(["read"])] = lambda: SimpleNamespace(client_id="nobody")
    assert TestClient(app).get("/read").json() == {"client_id": "nobody"}
    assert require("read") != require("write")
    assert require("read") != require(any_of="read")


def test_the_application_may_be_served_again(deployment: Deployment) -> None:
    """What one test client has ended begins again with the next one, with a lifespan or without."""
    app = application()
    app.add_middleware(ResourceServer, verifier=deployment.verifier(Verifier))
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/read", headers=deployment.bearer()).status_code == 200
        assert TestClient(app).get("/read", headers=deployment.bearer()).status_code == 200
    with TestClient(app):
        """End what the last one has begun."""


def test_a_websocket_can_depend(client: TestClient, deployment: Deployment) -> None:
    """It is asked before it is accepted."""
    with client.websocket_connect("/hello", headers=deployment.bearer()) as websocket:
        assert websocket.receive_text() == deployment.caller["client_id"]
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/hello"):
        pass
    assert refused.value.status_code == 401


def test_the_openapi_document_shows_what_needs_a_token() -> None:
    """A bearer scheme, and a lock at the routes that ask."""
    document = application().openapi()
    assert document["components"]["securitySchemes"]["bearer"] == {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
    }
    assert document["paths"]["/read"]["get"]["security"] == [{"bearer": []}]
    assert document["paths"]["/write"]["get"]["security"] == [{"bearer": []}]
    assert "security" not in document["paths"]["/health"]["get"]
