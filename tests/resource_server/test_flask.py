"""What Flask's views ask of their callers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.serving import make_server

from authserver.resource_server import Refusal, ThreadVerifier
from authserver.resource_server.flask import ResourceServer, answer_refusal, current_token, require
from tests.resource_server.deployment import Deployment, running
from tests.resource_server.integration import Integration
from tests.server import FORM


def application() -> Flask:
    """Return the application without the middleware."""
    app = Flask(__name__)

    @app.get("/read")
    @require("read")
    def read() -> ResponseReturnValue:
        return jsonify(client_id=current_token.client_id)

    @app.get("/write")
    @require(["write"])
    async def write() -> ResponseReturnValue:
        return jsonify(client_id=current_token.client_id)

    @app.get("/any")
    @require(any_of=("admin", "write"))
    def any_of() -> ResponseReturnValue:
        return {}

    @app.post("/form")
    @require("read")
    def form() -> ResponseReturnValue:
        return request.get_data()

    @app.post("/fields")
    @require("read")
    def fields() -> ResponseReturnValue:
        return request.form.to_dict()

    @app.get("/health")
    def health() -> ResponseReturnValue:
        return "well"

    @app.get("/careless")
    def careless() -> ResponseReturnValue:
        return jsonify(client_id=current_token.client_id)

    @app.errorhandler(500)
    def fail(error: Exception) -> ResponseReturnValue:
        raise AssertionError from error

    return app


def guarded(verifier: ThreadVerifier) -> Flask:
    """Return the application with the middleware."""
    app = application()
    app.wsgi_app = ResourceServer(app.wsgi_app, verifier=verifier, resource_name="Orders")  # type: ignore[method-assign]
    return app


class TestFlask(Integration):
    """The views are decorated."""

    kind = ThreadVerifier

    @classmethod
    @contextlib.contextmanager
    def serve(cls, verifier: Any) -> Iterator[str]:
        """Serve it with werkzeug."""
        with running(make_server("127.0.0.1", 0, guarded(verifier), threaded=True)) as url:
            yield url


@pytest.fixture(scope="module")
def app(deployment: Deployment) -> Iterator[Flask]:
    """Yield the application with a verifier that has started."""
    with deployment.verifier(ThreadVerifier) as verifier:
        yield guarded(verifier)


def test_an_asynchronous_view_can_be_guarded(app: Flask, deployment: Deployment) -> None:
    """As Flask runs it."""
    response = app.test_client().get("/write", headers=deployment.bearer())
    assert response.json == {"client_id": deployment.caller["client_id"]}


def _read_the_form() -> None:
    request.form.to_dict()


def test_a_form_is_parsed_as_ever(app: Flask, deployment: Deployment) -> None:
    """RS-06: the fields are there, and a hook that has read them first hides no token."""
    headers = deployment.bearer() | {"Content-Type": FORM}
    assert app.test_client().post("/fields", headers=headers, data="name=a").json == {"name": "a"}
    app.before_request_funcs.setdefault(None, []).append(_read_the_form)
    assert app.test_client().post("/fields", headers=headers, data="access_token=x").status_code == 400


def test_a_view_may_refuse_by_itself(deployment: Deployment) -> None:
    """With the library's handler registered, the answer is the same."""
    with deployment.verifier(ThreadVerifier) as verifier:
        app = guarded(verifier)
        app.register_error_handler(Refusal, answer_refusal)

        @app.get("/orders/<owner>")
        def orders(owner: str) -> ResponseReturnValue:
            return jsonify(request.environ["authserver"].require(f"orders:{owner}").client_id)

        response = app.test_client().get("/orders/ada", headers=deployment.bearer())
    assert response.status_code == 403
    assert 'scope="orders:ada"' in response.headers["WWW-Authenticate"]


def test_who_asks_for_a_token_that_nobody_required_is_told(app: Flask) -> None:
    """Fail closed: a view that forgot its decorator learns nothing."""
    app.testing = True
    with pytest.raises(RuntimeError, match="put @require"):
        app.test_client().get("/careless")


def test_without_the_middleware_nobody_is_let_in(deployment: Deployment) -> None:
    """That is a failure of the application's, and says what is missing."""
    app = application()
    app.testing = True
    with pytest.raises(RuntimeError, match="ResourceServer is missing"):
        app.test_client().get("/read", headers=deployment.bearer())
