"""From an ASGI request to a verb and back. The security steps are here, once, and in no handler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from authserver.admin.authorize import Authorizer
from authserver.admin.body import read_object
from authserver.admin.operation import Call, Operation, Verbs
from authserver.admin.problem import problem_answer
from authserver.admin.query import parse_query
from authserver.administration.actor import Actor
from authserver.audit.events import AuditEvent
from authserver.core.errors import (
    AuthServerError,
    InsufficientScope,
    InvalidToken,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
)
from authserver.core.ports import AuditSink
from authserver.wire.door import REQUEST_ID_KEY
from authserver.wire.http import Answer, Receive, Request, Scope, Send, parked_of

MAX_PATH_VALUE_BYTES = 255

_BODILESS_METHODS = frozenset({"GET", "DELETE"})


class AdminEndpoint:
    """All operations of one path, as an ASGI application for a Starlette route."""

    def __init__(
        self, *, operations: Sequence[Operation], verbs: Verbs, authorizer: Authorizer, audit: AuditSink
    ) -> None:
        """Serve `operations`, which differ in their methods."""
        self._operations = {operation.description.method: operation for operation in operations}
        self._verbs = verbs
        self._authorizer = authorizer
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3); errors of the table become problem details, others go to the front door."""
        request = Request(
            scope["method"], scope["headers"], scope["query_string"], receive, "", {}, parked=parked_of(scope)
        )
        try:
            answer = await self._answer(request, scope.get("path_params", {}))
        except AuthServerError as error:
            answer = problem_answer(
                error,
                request_id=scope.get(REQUEST_ID_KEY, ""),
                authenticated=bool(request.header_values(b"authorization")),
            )
        length = (b"content-length", b"%d" % len(answer.body))
        await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, length]})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, request: Request, path: Mapping[str, str]) -> Answer:
        """Authorise before anything else is read: who may not call learns nothing of what would be accepted."""
        operation = self._operations.get(request.method)
        if operation is None:
            raise MethodNotAllowed(", ".join(sorted(self._operations)))
        actor: Actor | None = None
        try:
            actor = await self._authorizer(request.header_values(b"authorization"))
            if operation.description.scope is not None:
                actor.require(operation.description.scope)
            return await operation.handler(self._verbs, await _read(request, path, operation, actor))
        except (InvalidToken, InsufficientScope) as error:
            self._audit.record(
                AuditEvent.ADMIN_DENIED,
                actor=actor.name if actor else None,
                operation=f"{operation.description.method} {operation.description.path}",
                reason=error.reason,
            )
            raise


async def _read(request: Request, path: Mapping[str, str], operation: Operation, actor: Actor) -> Call:
    """Read what was sent, in the order of its cost."""
    for value in path.values():
        if not value.isprintable() or len(value.encode()) > MAX_PATH_VALUE_BYTES:
            raise NotFound("a path parameter that no id can be")
    if_match = request.header_values(b"if-match")
    if len(if_match) > 1:
        raise PreconditionFailed("There must be at most one If-Match header.")
    return Call(
        actor=actor,
        path=path,
        query=parse_query(request.query, operation.description.query),
        body={} if request.method in _BODILESS_METHODS else await read_object(request),
        if_match=if_match[0] if if_match and operation.description.conditional else None,
    )
