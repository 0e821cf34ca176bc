"""For ASGI services, of any framework or none: a middleware for HTTP and WebSocket.

    app = ResourceServer(app, verifier=Verifier.from_config(…), require="read", except_paths=("/health",))

Without `require` each route asks for itself: `token = await scope["authserver"].require("read")`, in an application
that leaves failures to its server. Starlette and FastAPI answer them with 500 before the middleware sees them, unless
it is their own: in routes of theirs, and of what they mount, use `require` of `starlette.py` or `fastapi.py`, whose
refusals are answered wherever the middleware stands.

The verifier starts and ends with the application (lifespan protocol), or starts with the first token where the server
knows no lifespan.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, MutableMapping, Sequence
from typing import Any

from authserver.core.errors import ConfigurationError
from authserver.resource_server.bearer import MAX_FORM_BYTES, bearer_token, is_form, refuse_token_in
from authserver.resource_server.demands import NO_SCOPES, Gate
from authserver.resource_server.errors import CannotVerify, Refusal
from authserver.resource_server.metadata import WELL_KNOWN, Answer, ProtectedResource
from authserver.resource_server.token import VerifiedToken
from authserver.resource_server.verifier import Verifier

#: Where the scope has the Caller.
CALLER = "authserver"

_POLICY_VIOLATION = 1008  # RFC 6455 §7.4.1
_STARTED = "lifespan.startup.complete"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Headers = Sequence[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("authserver.resource_server")


class ResourceServer:
    """Lets into `app` whom the verifier lets in.

    `require`: scopes that every request must have, "" for any good token, None to leave it to the routes.
    `except_paths`: what anybody may ask for, each path exactly. A Refusal that is raised inside becomes its answer.
    """

    def __init__(
        self,
        app: App,
        *,
        verifier: Verifier,
        require: Collection[str] | None = None,
        except_paths: Collection[str] = (),
        resource_name: str = "",
        metadata_url: str | None = None,
    ) -> None:
        """`resource_name` and `metadata_url` are those of ProtectedResource.

        Raises TypeError for another verifier, and for scopes or paths that are no lists.
        """
        if not isinstance(verifier, Verifier):
            raise TypeError("ASGI needs a Verifier: a ThreadVerifier would hold up the event loop")
        self._app = app
        self._verifier = verifier
        self._gate = Gate(require, except_paths)
        self._resource = ProtectedResource(verifier, resource_name=resource_name, metadata_url=metadata_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the ASGI server."""
        kind = scope["type"]
        if kind in ("http", "websocket"):
            await self._guard(scope, receive, send)
        elif kind == "lifespan":
            await Lifespan(self._verifier, receive, send).run(self._app, scope)
        elif self._gate.is_open:
            await self._app(scope, receive, send)
        else:
            raise RuntimeError(f"a connection of type {kind!r} cannot be guarded")

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _route_path(scope)
        if path.startswith(WELL_KNOWN) and (answer := self._resource.own_answer(scope.get("method"), path)):
            await _send_answer(send, answer)
            return
        headers = scope.get("headers")
        if not isinstance(headers, list):  # some servers give what can be read once
            headers = scope["headers"] = list(headers or ())
        form = FormBody(receive) if is_form(scope.get("method"), headers) else None
        caller = scope[CALLER] = Caller(self._verifier, self._resource, headers, scope.get("query_string"), form)
        reply = Reply(scope, send)
        try:
            if (demand := self._gate.demand(path)) is not None:
                await caller.require(demand)
            await self._app(scope, receive if form is None else form.receive, reply.send)
        except Refusal as refusal:
            if not await reply.refuse(refusal, caller.answer(refusal)):
                raise
        finally:
            if form is not None:
                form.let_go()


class Caller:
    """Who sends one request, or opens one WebSocket. `token` is None until it was checked.

    It is kept in the scope, so it must not refer to the scope or to the connection: each request would leave a cycle of
    references to the garbage collector, which stops the whole service when it runs.
    """

    __slots__ = ("_bearer", "_form", "_headers", "_query", "_resource", "_verifier", "token")

    def __init__(
        self,
        verifier: Verifier,
        resource: ProtectedResource,
        headers: Headers,
        query: bytes | None,
        form: FormBody | None,
    ) -> None:
        """`headers` and `query` are those of the request, as ASGI has them; `form` is its body if it is a form."""
        self.token: VerifiedToken | None = None
        self._verifier = verifier
        self._resource = resource
        self._headers = headers
        self._query = query
        self._form = form
        self._bearer = ""

    async def require(
        self, all_of: Collection[str] = NO_SCOPES, *, any_of: Collection[str] = NO_SCOPES
    ) -> VerifiedToken:
        """Return the access token if it is good now and has these scopes; raise a Refusal.

        A form is looked at last: whoever shows no good token is told so before the body has come. Each call checks
        anew, so a WebSocket may ask again before what it does next.
        """
        if not self._bearer:
            self._bearer = bearer_token(
                [value.decode("latin-1") for name, value in self._headers if name == b"authorization"],
                query=self._query.decode("latin-1") if self._query else "",
            )
        token = await self._verifier.verify(self._bearer, all_of=all_of, any_of=any_of)
        if self._form is not None:
            refuse_token_in(await self._form.beginning())
            self._form = None
        self.token = token
        return token

    def answer(self, refusal: Refusal) -> Answer:
        """Return what a refused request is answered with."""
        return self._resource.refuse(refusal)


class Reply:
    """How far the answer to one request has come, and how it can still be a refusal."""

    __slots__ = ("_last_sent", "_scope", "_send")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._last_sent = ""

    def send(self, message: Message) -> Awaitable[None]:
        """Send on, and remember what was sent."""
        self._last_sent = message["type"]
        return self._send(message)

    async def refuse(self, refusal: Refusal, answer: Answer) -> bool:
        """Answer with a refusal, or close the WebSocket. False: it is too late, another answer has begun."""
        is_websocket = self._scope["type"] == "websocket"
        if not self._last_sent and not is_websocket:
            await _send_answer(self._send, answer)
        elif not self._last_sent and "websocket.http.response" in (self._scope.get("extensions") or ()):
            await _send_answer(self._send, answer, kind="websocket.http.response")
        elif self._last_sent in ("", "websocket.accept", "websocket.send"):
            reason = refusal.description
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": reason})
        else:
            return False
        return True


class FormBody:
    """The body of a form: its beginning can be looked at, before the application reads it or after."""

    __slots__ = ("_ahead", "_receive", "_searchable", "_seen")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ahead: deque[Message] = deque()
        self._seen = bytearray()
        self._searchable = True

    async def receive(self) -> Message:
        """Return the next message, as the server sent it."""
        return self._ahead.popleft() if self._ahead else await self._next()

    async def beginning(self) -> str:
        """Return the first 64 KB, or all that there is; what was read for it is received all the same."""
        while self._searchable:
            self._ahead.append(await self._next())
        return self._seen.decode("latin-1")

    def let_go(self) -> None:
        """Drop the connection once the request is over: the scope, which refers to this object, may live longer."""
        self._receive = _disconnected

    async def _next(self) -> Message:
        message = await self._receive()
        if self._searchable:
            self._seen += message.get("body", b"")
            self._searchable = bool(message.get("more_body")) and len(self._seen) < MAX_FORM_BYTES
        return message


class Lifespan:
    """Puts the life of a verifier around that of an application, which may know nothing of the protocol."""

    def __init__(self, verifier: Verifier, receive: Receive, send: Send) -> None:
        self._verifier = verifier
        self._receive = receive
        self._send = send
        self._first: Message | None = None
        self._answer = ""
        self._is_ending = False
        self._closed = False

    async def run(self, app: App, scope: Scope) -> None:
        """Run the protocol to its end. A verifier that can never work ends the start, with the reason."""
        self._first = await self._receive()
        try:
            await self._verifier.start()
        except ConfigurationError as error:
            await self._send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        except CannotVerify as refusal:
            _log.error("the verifier cannot start with the application, the first token tries again: %s", refusal)
        try:
            await self._run(app, scope)
        finally:
            await self._close()

    async def _run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self._replay, self._pass_on)
        except Exception:
            if self._answer or self._first is None:  # it has begun to start, and failed
                raise
            _log.info("the application has no lifespan, the verifier has one", exc_info=True)
        if not self._answer:
            await self._pass_on({"type": _STARTED})
        if self._answer == _STARTED:  # it has returned, and is served all the same
            if not self._is_ending:
                await self._receive()
            await self._pass_on({"type": "lifespan.shutdown.complete"})

    async def _replay(self) -> Message:
        message, self._first = self._first, None
        if message is None:
            message = await self._receive()
            self._is_ending = True
        return message

    async def _pass_on(self, message: Message) -> None:
        """Send on what the application says. The verifier ends before the last message: the server may exit then."""
        self._answer = message["type"]
        if self._answer != _STARTED:
            await self._close()
        await self._send(message)

    async def _close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._verifier.pause()  # a test may serve the application again, without a lifespan


async def _disconnected() -> Message:
    return {"type": "http.disconnect"}


def _route_path(scope: Scope) -> str:
    """Return the path as the application routes it: without the root path that the server was told."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


async def _send_answer(send: Send, answer: Answer, *, kind: str = "http.response") -> None:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers]
    await send({"type": f"{kind}.start", "status": answer.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": answer.body})
