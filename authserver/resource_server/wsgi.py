"""For WSGI services, of any framework or none: a middleware.

    app = ResourceServer(app, verifier=ThreadVerifier.from_config(…), require="read", except_paths=("/health",))

Without `require` each view asks for itself: `token = environ["authserver"].require("read")`, in an application that
leaves failures to its server. Flask answers them with 500 before the middleware sees them: in its views, mounted or
not, use `require` of `flask.py`, which answers refusals itself.

The verifier starts with the first token, in each process of a server that forks; `with verifier:` starts it earlier,
and ends it.
"""

from __future__ import annotations

import http
import io
import sys
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from itertools import chain, islice
from types import GeneratorType
from typing import Any, Protocol

from authserver.resource_server.bearer import MAX_FORM_BYTES, bearer_token, is_form, refuse_token_in
from authserver.resource_server.demands import NO_SCOPES, Gate
from authserver.resource_server.errors import Refusal
from authserver.resource_server.metadata import WELL_KNOWN, Answer, ProtectedResource
from authserver.resource_server.token import VerifiedToken
from authserver.resource_server.verifier import ThreadVerifier

#: Where the environ has the Caller.
CALLER = "authserver"

_MAX_LENGTH_DIGITS = 18

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

#: Returns the first 64 KB of a form, as soon as they have come.
Beginning = Callable[[], str]


class Input(Protocol):
    """What is read of `wsgi.input`."""

    def read(self, size: int, /) -> bytes:
        """Return as many bytes, or fewer at the end."""


class ResourceServer:
    """Lets into `app` whom the verifier lets in.

    `require`: scopes that every request must have, "" for any good token, None to leave it to the views.
    `except_paths`: what anybody may ask for, each path exactly. A Refusal that `app` raises, before it has begun to
    answer, becomes the answer.
    """

    def __init__(
        self,
        app: App,
        *,
        verifier: ThreadVerifier,
        require: Collection[str] | None = None,
        except_paths: Collection[str] = (),
        resource_name: str = "",
        metadata_url: str | None = None,
    ) -> None:
        """`resource_name` and `metadata_url` are those of ProtectedResource.

        Raises TypeError for another verifier, and for scopes or paths that are no lists.
        """
        if not isinstance(verifier, ThreadVerifier):
            raise TypeError(
                "WSGI needs a ThreadVerifier: what a Verifier says has to be awaited, and would pass for yes"
            )
        self._app = app
        self._verifier = verifier
        self._gate = Gate(require, except_paths)
        self._resource = ProtectedResource(verifier, resource_name=resource_name, metadata_url=metadata_url)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
        if path.startswith(WELL_KNOWN) and (answer := self._resource.own_answer(environ["REQUEST_METHOD"], path)):
            return _respond(answer, environ, start_response)
        caller = environ[CALLER] = Caller(self._verifier, self._resource, environ, form=_form(environ))
        start = Start(start_response)
        try:
            if (demand := self._gate.demand(path)) is not None:
                caller.require(demand)
            body = self._app(environ, start)
            return StartedBody(body) if isinstance(body, GeneratorType) else body
        except Refusal as refusal:
            return _respond(caller.answer(refusal), environ, start.again)


class Caller:
    """Who sends one request. `token` is None until it was checked.

    It lies in the environ and does not know it: a circle would be left to the garbage collector.
    """

    __slots__ = ("_authorization", "_bearer", "_form", "_query", "_resource", "_verifier", "token")

    def __init__(
        self, verifier: ThreadVerifier, resource: ProtectedResource, environ: Environ, *, form: Beginning | None
    ) -> None:
        """`form` returns the beginning of the body, if it is a form."""
        self.token: VerifiedToken | None = None
        self._verifier = verifier
        self._resource = resource
        self._authorization: str | None = environ.get("HTTP_AUTHORIZATION")
        self._query: str = environ.get("QUERY_STRING", "")
        self._form = form
        self._bearer = ""

    def require(self, all_of: Collection[str] = NO_SCOPES, *, any_of: Collection[str] = NO_SCOPES) -> VerifiedToken:
        """Return the access token if it is good now and has these scopes; raise a Refusal."""
        token = self._verifier.verify(self._bearer_token(), all_of=all_of, any_of=any_of)
        if self._form is not None:
            self._search(self._form)
        self.token = token
        return token

    async def require_async(
        self, all_of: Collection[str] = NO_SCOPES, *, any_of: Collection[str] = NO_SCOPES
    ) -> VerifiedToken:
        """Do the same for a view that runs in an event loop: whatever it waits for, it takes no thread."""
        token = await self._verifier.verify_async(self._bearer_token(), all_of=all_of, any_of=any_of)
        if self._form is not None:  # it has come (ASGI), or the event loop is this request's own (WSGI)
            self._search(self._form)
        self.token = token
        return token

    def answer(self, refusal: Refusal) -> Answer:
        """Return what a refused request is answered with."""
        return self._resource.refuse(refusal)

    def _bearer_token(self) -> str:
        if not self._bearer:
            self._bearer = bearer_token(self._authorization, query=self._query)
        return self._bearer

    def _search(self, form: Beginning) -> None:
        """Look for a second token. Not before the first is good: nobody else may hold up a thread with a body."""
        refuse_token_in(form())
        self._form = None


class Start:
    """`start_response` for an application that may call it, and then refuse all the same."""

    __slots__ = ("_called", "_start_response")

    def __init__(self, start_response: StartResponse) -> None:
        self._start_response = start_response
        self._called = False

    def __call__(self, *given: Any) -> Any:
        """Begin the answer."""
        self._called = True
        return self._start_response(*given)

    def again(self, status: str, headers: list[tuple[str, str]]) -> None:
        """Begin another answer in place of one that was begun and not sent; raise the present error if it was sent."""
        self._start_response(status, headers, *([sys.exc_info()] if self._called else []))  # PEP 3333


class StartedBody:
    """The body of an application that is a generator, advanced to its first part.

    A generator runs nothing before that: a Refusal that it raises there can still be answered.
    """

    def __init__(self, body: Generator[bytes, Any, Any]) -> None:
        """Raise what the application raises until its first part."""
        self._body = body
        self._first = list(islice(body, 1))

    def __iter__(self) -> Iterator[bytes]:
        """Return all parts, the first one included."""
        return chain(self._first, self._body)

    def close(self) -> None:
        """Let the application clean up, as servers do in the end."""
        self._body.close()


class FormBody(io.RawIOBase):
    """The body of a form: its beginning can be looked at, before the application reads it or after.

    Nothing is read before somebody asks. What breaks while it is looked at breaks for the application, when it reads.
    """

    def __init__(self, body: Input, size: int = sys.maxsize) -> None:
        """`body` ends after `size` bytes, or by itself before that."""
        self._body = body
        self._left = size
        self._seen = bytearray()
        self._ahead = io.BytesIO()
        self._failure: Exception | None = None

    def beginning(self) -> str:
        """Return the first 64 KB, or all that there is; what was read for it is read again by the application."""
        known = len(self._seen)
        try:
            while (wanted := MAX_FORM_BYTES - len(self._seen)) and self._next(wanted):
                pass
        except Exception as failure:  # noqa: BLE001 - servers have kinds of their own
            self._failure, self._left = failure, 0
        if len(self._seen) > known:
            self._ahead = io.BytesIO(self._seen[known:])
        return self._seen.decode("latin-1")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what comes next."""
        chunk = self._ahead.read(len(buffer))
        if not chunk and self._failure is not None:
            raise self._failure
        chunk = chunk or self._next(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _next(self, size: int) -> bytes:
        size = min(size, self._left)
        chunk = self._body.read(size) if size else b""
        self._left = self._left - len(chunk) if chunk else 0
        self._seen += chunk[: MAX_FORM_BYTES - len(self._seen)]
        return chunk


def _form(environ: Environ) -> Beginning | None:
    """Put a FormBody in the place of a form, and return how to look at it; None for what is none, or has no end."""
    if not is_form(environ["REQUEST_METHOD"], environ.get("CONTENT_TYPE", "")):
        return None
    size = _length(environ.get("CONTENT_LENGTH") or "")
    if size is None:
        if not environ.get("wsgi.input_terminated"):
            return None
        size = sys.maxsize
    form = FormBody(environ["wsgi.input"], size)
    environ["wsgi.input"] = io.BufferedReader(form)
    return form.beginning


def _length(text: str) -> int | None:
    """Return the value of a Content-Length; None for what is none, or is beyond all that could be sent."""
    return int(text) if text.isdecimal() and len(text) <= _MAX_LENGTH_DIGITS else None


def _respond(answer: Answer, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response(f"{answer.status} {http.HTTPStatus(answer.status).phrase}", list(answer.headers))
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]
