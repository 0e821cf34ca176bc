"""For Flask, beside the middleware of `wsgi.py`: what a view asks of its caller.

    from authserver.resource_server.flask import ResourceServer, current_token, require

    app.wsgi_app = ResourceServer(app.wsgi_app, verifier=ThreadVerifier.from_config(…))

    @app.get("/orders")
    @require("read")
    def orders():
        return orders_of(current_token.client_id)

`current_token` is the token that `require` has let in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, ParamSpec, cast

import flask
from flask.typing import ResponseReturnValue
from werkzeug.local import LocalProxy

from authserver.resource_server.demands import NO_SCOPES, choice_names, scope_names
from authserver.resource_server.errors import Refusal
from authserver.resource_server.token import VerifiedToken
from authserver.resource_server.wsgi import CALLER, Caller, ResourceServer

__all__ = ["ResourceServer", "answer_refusal", "current_token", "require"]

P = ParamSpec("P")


def require(
    all_of: Collection[str] = NO_SCOPES, *, any_of: Collection[str] = NO_SCOPES
) -> Callable[[Callable[P, Any]], Callable[P, ResponseReturnValue]]:
    """Return a decorator that lets into a view whose token has these scopes.

    `"read write"` or a list: all of them; `any_of`: one of them; nothing: any good token will do.
    """
    needed, choice = scope_names(all_of), choice_names(any_of)

    def decorate(view: Callable[P, Any]) -> Callable[P, ResponseReturnValue]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            try:
                _caller().require(needed, any_of=choice)
            except Refusal as refusal:
                return answer_refusal(refusal)
            return cast("ResponseReturnValue", flask.current_app.ensure_sync(view)(*args, **kwargs))

        return guarded

    return decorate


def answer_refusal(refusal: Refusal) -> flask.Response:
    """Answer a Refusal; for `app.register_error_handler(Refusal, answer_refusal)` if views raise it themselves."""
    answer = _caller().answer(refusal)
    return flask.Response(answer.body, answer.status, list(answer.headers))


def _caller() -> Caller:
    caller: Caller | None = flask.request.environ.get(CALLER)
    if caller is None:
        raise RuntimeError("the middleware authserver.resource_server.wsgi.ResourceServer is missing")
    return caller


def _token() -> VerifiedToken:
    token = _caller().token
    if token is None:
        raise RuntimeError("no token was required for this request: put @require(…) below the route")
    return token


#: The token of the request, once it was required. Typed as what it stands for, like `flask.request`.
current_token: VerifiedToken = LocalProxy(_token)  # type: ignore[assignment]
