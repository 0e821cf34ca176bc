"""What Starlette's routes ask of their callers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from authserver.resource_server import InsufficientScope, MissingToken, Verifier
from authserver.resource_server.starlette import Requirement, ResourceServer, require
from tests.resource_server.deployment import Deployment, serve_asgi
from tests.resource_server.integration import Integration


def answer_to(requirement: Requirement) -> Any:
    """Return an endpoint that says who calls."""

    async def endpoint(request: Request) -> Response:
        return JSONResponse({"client_id": (await requirement(request)).client_id})

    return endpoint


async def form(request: Request) -> Response:
    """Say what was sent; the body is read first, as a parser would."""
    body = await request.body()
    await require("read")(request)
    return PlainTextResponse(body)


async def health(_: Request) -> Response:
    """Be well."""
    return PlainTextResponse("well")


async def hello(websocket: WebSocket) -> None:
    """Greet one who may read."""
    token = await require("read")(websocket)
    await websocket.accept()
    await websocket.send_text(token.client_id)
    await websocket.close()


ROUTES = [
    Route("/read", answer_to(require("read"))),
    Route("/write", answer_to(require(["write"]))),
    Route("/any", answer_to(require(any_of=["admin", "write"]))),
    Route("/form", form, methods=["POST"]),
    Route("/health", health),
    WebSocketRoute("/hello", hello),
]


async def fail(_: Request, error: Exception) -> Response:
    """Stand for what an application does with its failures: no Refusal may come here."""
    raise AssertionError from error


def starlette(*middleware: Middleware) -> Starlette:
    """Return the application."""
    return Starlette(routes=ROUTES, middleware=middleware, exception_handlers={Exception: fail})


class TestStarlette(Integration):
    """The middleware is one of the application's."""

    kind = Verifier

    @classmethod
    @contextlib.contextmanager
    def serve(cls, verifier: Any) -> Iterator[str]:
        """Serve it with uvicorn."""
        app = starlette(Middleware(ResourceServer, verifier=verifier, resource_name="Orders"))
        with serve_asgi(app, lifespan="on") as url:
            yield url


@pytest.fixture
def verifier(deployment: Deployment) -> Verifier:
    """Return a verifier that the application starts."""
    return deployment.verifier(Verifier)


@pytest.fixture(params=["inside", "outside", "above a mounted one"])
def client(request: pytest.FixtureRequest, verifier: Verifier) -> Iterator[TestClient]:
    """Yield a client of the application, which has the middleware in one of three places."""
    middleware = Middleware(ResourceServer, verifier=verifier)
    apps: dict[str, Any] = {
        "inside": starlette(middleware),
        "outside": ResourceServer(starlette(), verifier=verifier),
        "above a mounted one": Starlette(routes=[Mount("/", starlette())], middleware=[middleware]),
    }
    with TestClient(apps[request.param]) as client:
        yield client


def test_a_refusal_is_no_failure_wherever_the_middleware_is(client: TestClient, deployment: Deployment) -> None:
    """The answer is the refusal's, and the application's handler for failures hears nothing of it."""
    assert client.get("/read", headers=deployment.bearer()).status_code == 200
    response = client.get("/read")
    assert (response.status_code, response.json()) == (401, MissingToken("").body)
    assert response.headers["www-authenticate"].startswith("Bearer resource_metadata=")
    assert client.get("/write", headers=deployment.bearer("read")).status_code == 403


def test_a_websocket_is_asked_before_it_is_accepted(client: TestClient, deployment: Deployment) -> None:
    """Good: greeted. Refused: answered like any request, also after one that the application has answered itself."""
    with client.websocket_connect("/hello", headers=deployment.bearer()) as websocket:
        assert websocket.receive_text() == deployment.caller["client_id"]
    client.get("/read")
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/hello"):
        pass
    assert refused.value.status_code == 401


def test_a_websocket_is_closed_where_the_server_cannot_answer(verifier: Verifier) -> None:
    """1008, before it was accepted."""

    async def without_extensions(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "extensions": {}}, receive, send)

    app = starlette(Middleware(ResourceServer, verifier=verifier))
    with (
        TestClient(without_extensions) as client,
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/hello"),
    ):
        pass
    assert refused.value.code == 1008


def test_an_application_may_answer_in_its_own_words(verifier: Verifier, deployment: Deployment) -> None:
    """Its handler for one kind of refusal goes first."""

    async def sorry(_: Request, error: Exception) -> Response:
        assert isinstance(error, InsufficientScope)
        return PlainTextResponse(f"sorry, you need {error.scope}", 403)

    app = starlette(Middleware(ResourceServer, verifier=verifier))
    app.add_exception_handler(InsufficientScope, sorry)
    with TestClient(app) as client:
        assert client.get("/write", headers=deployment.bearer("read")).text == "sorry, you need write"
        assert client.get("/write").status_code == 401


def test_paths_are_those_of_the_routes(verifier: Verifier, deployment: Deployment) -> None:
    """A root path that the server was told is no part of `except_paths`, and no way around them."""
    app = starlette(Middleware(ResourceServer, verifier=verifier, require="", except_paths=["/health"]))
    with TestClient(app, root_path="/v1") as client:
        assert client.get("/v1/health").status_code == 200
        assert client.get("/v1/read").status_code == 401
        assert client.get("/v1/v1/health").status_code == 401
        assert client.get("/v1/read", headers=deployment.bearer()).status_code == 200
        assert client.get("/v1/.well-known/oauth-protected-resource/orders").status_code == 200


def test_without_the_middleware_nobody_is_let_in(deployment: Deployment) -> None:
    """That is a failure of the application's, and says what is missing."""
    app = Starlette(routes=ROUTES)
    with TestClient(app) as client, pytest.raises(RuntimeError, match="ResourceServer is missing"):
        client.get("/read", headers=deployment.bearer())
