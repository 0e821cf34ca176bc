"""For Starlette, beside the middleware of `asgi.py`: what a route asks of its caller.

    from authserver.resource_server.starlette import ResourceServer, require

    app.add_middleware(ResourceServer, verifier=Verifier.from_config(…))
    reads = require("read")

    async def endpoint(request: Request) -> Response:
        token = await reads(request)

A refusal is answered wherever the middleware stands: in what is mounted below it, too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from authserver.resource_server.asgi import CALLER, Caller, ResourceServer
from authserver.resource_server.demands import NO_SCOPES, choice_names, scope_names
from authserver.resource_server.errors import Refusal
from authserver.resource_server.token import VerifiedToken

__all__ = ["Requirement", "ResourceServer", "answer_refusal", "require"]

Requirement = Callable[[HTTPConnection], Awaitable[VerifiedToken]]


def require(all_of: Collection[str] = NO_SCOPES, *, any_of: Collection[str] = NO_SCOPES) -> Requirement:
    """Return a function that returns the caller's token if it has these scopes, and raises a Refusal otherwise.

    `"read write"` or a list: all of them; `any_of`: one of them; nothing: any good token will do.
    """
    needed, choice = scope_names(all_of), choice_names(any_of)

    async def requirement(connection: HTTPConnection) -> VerifiedToken:
        caller: Caller | None = connection.scope.get(CALLER)
        if caller is None:
            raise RuntimeError("the middleware authserver.resource_server.asgi.ResourceServer is missing")
        try:
            return await caller.require(needed, any_of=choice)
        except Refusal:
            _answer_in_time(connection)
            raise

    return requirement


async def answer_refusal(connection: Request | WebSocket, error: Exception) -> Response:
    """Answer a Refusal, as an exception handler of Starlette; what is none goes up, and so does a WebSocket's."""
    if not isinstance(error, Refusal) or isinstance(connection, WebSocket):
        raise error
    caller: Caller = connection.scope[CALLER]
    answer = caller.answer(error)
    return Response(answer.body, answer.status, dict(answer.headers))


def _answer_in_time(connection: HTTPConnection) -> None:
    """Have the innermost application answer a Refusal: a mounted one would log it as a failure and answer 500."""
    handlers = connection.scope.get("starlette.exception_handlers")
    if handlers is not None:
        handlers[0].setdefault(Refusal, answer_refusal)
