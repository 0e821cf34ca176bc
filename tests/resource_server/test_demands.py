"""What a service demands is read once; what is mistyped is refused before anybody is let in by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from authserver.resource_server import ThreadVerifier, Verifier, asgi, django, fastapi, flask, starlette, wsgi
from authserver.resource_server.demands import exact_paths, scope_names
from tests.resource_server.deployment import Deployment, ask, serve_wsgi

REQUIRES: list[Callable[..., Any]] = [starlette.require, fastapi.require, flask.require, django.require]


def test_scopes_are_names() -> None:
    """A text is split at spaces; an iterator holds the second time as well."""
    assert scope_names("read  write") == scope_names(iter(["read", "write"])) == ("read", "write")
    assert scope_names("") == scope_names(()) == ()


@pytest.mark.parametrize(
    "scopes", [False, True, 5, 0, None, [None], [""], ["read", 5], [["read"]], " ", ["read write"], ["é"], 'a"b']
)
@pytest.mark.parametrize("require", REQUIRES, ids=lambda require: require.__module__.rpartition(".")[2])
def test_what_names_no_scopes_is_refused_when_it_is_declared(require: Callable[..., Any], scopes: Any) -> None:
    """`require(False)` would be no demand at all."""
    with pytest.raises((TypeError, ValueError)):
        require(scopes)
    with pytest.raises((TypeError, ValueError)):
        require(any_of=scopes)


@pytest.mark.parametrize("choice", [(), [], "", set(), iter(())])
def test_a_choice_of_nothing_is_refused(deployment: Deployment, choice: Any) -> None:
    """`any_of=roles` without any role would let in any good token, if nothing else is asked for."""
    token = deployment.bearer("read")["Authorization"].removeprefix("Bearer ")
    with deployment.verifier(ThreadVerifier) as verifier, pytest.raises(ValueError, match="any_of names no scope"):
        verifier.verify(token, any_of=choice)
    with deployment.verifier(ThreadVerifier) as verifier:
        assert verifier.verify(token, all_of="read", any_of=[])
    for require in REQUIRES:
        with pytest.raises(ValueError, match="any_of names no scope"):
            require("read", any_of=choice)


@pytest.mark.parametrize("scopes", [False, 0, None, [None], [""], " "])
def test_what_names_no_scopes_is_refused_when_it_is_asked_for(deployment: Deployment, scopes: Any) -> None:
    """`all_of=settings.get("scopes")` without that setting would let in any good token."""
    token = deployment.bearer("read")["Authorization"].removeprefix("Bearer ")
    with deployment.verifier(ThreadVerifier) as verifier:
        assert verifier.verify(token, all_of=())
        with pytest.raises((TypeError, ValueError)):
            verifier.verify(token, all_of=scopes)
        with pytest.raises((TypeError, ValueError)):
            verifier.verify(token, any_of=scopes)


@pytest.mark.parametrize("paths", ["/health", "", ["health"], ["/", "health"], [""]])
def test_paths_are_lists_of_paths(deployment: Deployment, paths: Any) -> None:
    """`("/health")` is a text: its letters, and `/` among them, would need no token."""
    with pytest.raises(TypeError, match="except_paths"):
        exact_paths(paths)
    with pytest.raises(TypeError, match="except_paths"):
        asgi.ResourceServer(_nothing, verifier=deployment.verifier(Verifier), except_paths=paths)
    with pytest.raises(TypeError, match="except_paths"):
        wsgi.ResourceServer(_nothing, verifier=deployment.verifier(ThreadVerifier), except_paths=paths)


def test_an_iterator_demands_the_same_of_every_request(deployment: Deployment) -> None:
    """It would be empty at the second one."""

    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "0")])
        return []

    required: Any = (name for name in ("write",))
    with deployment.verifier(ThreadVerifier) as verifier:
        app = wsgi.ResourceServer(application, verifier=verifier, require=required)
        with serve_wsgi(app) as url:
            assert [ask(url, "/", deployment.bearer("read")).status for _ in range(3)] == [403, 403, 403]


def _nothing(*_: Any) -> Any:
    raise AssertionError("nobody is let in")
