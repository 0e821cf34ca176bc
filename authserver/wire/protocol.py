"""HTTP/1.1 at the door (RFC 9110, RFC 9112, RFC 6585): deadlines and sizes, before the application sees a request.

uvicorn parses with httptools, whose parser is strict about framing (duplicate or conflicting lengths, bare LF,
obs-fold), and sets no bound on time or size. `GuardedProtocol` adds the bounds, the checks of Host and
Transfer-Encoding, and answers in JSON.

How it works. What the peer still owes us is one of three phases: nothing (`between` requests), the rest of a `head`,
the rest of a `body`. A phase has a start and a budget of bytes. The budget cuts what is fed to the parser; one timer
per connection, re-armed only when it fires, compares the start with the limit. So a request that arrives whole costs
no timer and no look at the clock, and while the next step is ours (the application works, or polls for minutes) the
start moves along and no deadline can pass.

Internals of uvicorn 0.54.0 that this relies on, each watched by a test that fails when its source changes:

- replaced: `data_received` (also drops its text/plain 400), `on_response_complete` (also drops a keep-alive timer per
  request: `Limits.idle_seconds` takes the place of `timeout_keep_alive`);
- extended: `__init__`, `connection_made`, `connection_lost`, `on_headers_complete`, `on_message_complete`;
- read: `cycle`, `pipeline`, `flow`, `tasks`, `connections`, `headers`, `url`, `RequestResponseCycle`.
"""

import functools
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from authserver.wire.http import PARKED_KEY
from authserver.wire.request_head import Limits, head_fault, refusal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from uvicorn.config import Config
    from uvicorn.server import ServerState

# Orchestrators ask these, and a server that is only busy must not be restarted for it.
HEALTH_PATHS: Final = frozenset({b"/health/live", b"/health/ready"})
# Each queued request is kept as objects, many times its size on the wire (RFC 9112 §9.3.2 lets us close instead).
MAX_PIPELINED: Final = 32
# After an answer that ends a connection, what the peer still sends is read and dropped for this long: closing at once
# would reset the connection and could destroy the answer on its way (RFC 9112 §9.6).
LINGER_SECONDS: Final = 1.0
# A connection closed with an answer still to be read is dropped with it after this long.
DRAIN_SECONDS: Final = 60.0
# Trailer fields land here: merged into the header fields they would pass for checked ones (RFC 9110 §6.5.1).
_DROPPED: Final = cast("list[tuple[bytes, bytes]]", deque(maxlen=0))

Phase = Literal["between", "head", "body", "refused"]


class _RefusedError(Exception):
    """Raised in a parser callback to stop parsing; never leaves `data_received`."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


def protocol_class(limits: Limits) -> type[HttpToolsProtocol]:
    """Bind `limits`, for `uvicorn.Config(http=protocol_class(limits), ws="none")`.

    uvicorn only calls what it is given. It gets a partial instead of a class made here because it pickles its
    configuration for worker processes, which a class without a place in a module does not survive.
    """
    return cast("type[HttpToolsProtocol]", functools.partial(GuardedProtocol, limits=limits))


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol within `Limits`; one instance per connection."""

    def __init__(
        self,
        config: "Config",
        server_state: "ServerState",
        app_state: dict[str, Any],
        _loop: "asyncio.AbstractEventLoop | None" = None,
        *,
        limits: Limits,
    ) -> None:
        """Begin between requests; all but `limits` comes from uvicorn."""
        super().__init__(config, server_state, app_state, _loop)
        self.limits = limits
        self.app_state = {**app_state, PARKED_KEY: limits.parked}
        self.url = b""
        self.phase: Phase = "between"
        self.since = 0.0
        self.budget = limits.max_head_bytes
        # Whether the piece being parsed ended a head or a message, so that its size belongs to more than one phase.
        self.moved = False
        self.timer: asyncio.TimerHandle | None = None
        # Whether we kept the peer from sending its body when the timer last fired: since when it may is not known.
        self.held_up = False
        # With pipelining `cycle` is the last request that came in; this is the one the application works on.
        self.running: RequestResponseCycle | None = None

    def connection_made(self, transport: "asyncio.Transport") -> None:  # type: ignore[override]
        """Start the idle deadline."""
        super().connection_made(transport)
        self.since = self.loop.time()
        self._check_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer; tell the running request, which uvicorn forgets when others are queued behind it."""
        if self.timer is not None:
            self.timer.cancel()
        if self.running is not None:
            _disconnect(self.running)
        super().connection_lost(exc)

    # Bytes in

    def data_received(self, data: bytes) -> None:
        """Feed the parser, never more at once than the present phase may still take."""
        while data and self.phase != "refused":
            piece, data = data[: self.budget], data[self.budget :]
            self.moved = False
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade() + piece[upgrade.args[0] :] + data
            except httptools.HttpParserError as error:
                cause = error.__context__
                self._refuse(cause.status if isinstance(cause, _RefusedError) else HTTPStatus.BAD_REQUEST)
            else:
                if not self.moved:
                    self._spend(len(piece))
                elif self.phase == "body":
                    self.since = self.loop.time()

    def _spend(self, size: int) -> None:
        """Count bytes that ended nothing; refuse when the phase has no more of them."""
        if self.phase == "between":
            self.phase = "head"
            self.since = self.loop.time()
        self.budget -= size
        if self.budget > 0:
            # A field of six bytes is kept as objects of two hundred: an unfinished head must not hold thousands.
            if self.headers and len(self.headers) > self.limits.max_headers:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        if self.phase == "body":
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif len(self.url) > self.limits.max_url_bytes:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG)
        else:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _without_upgrade(self) -> bytes:
        """Write the head again without Upgrade, for a fresh parser: we ignore the field (RFC 9110 §7.8).

        httptools skips the body of such a request and would read it as the next request. Java's client sends
        `Upgrade: h2c` with its first POST.
        """
        version = self.parser.get_http_version().encode("ascii")
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.budget = self.limits.max_head_bytes
        return b"\r\n".join([*lines, b"", b""])

    # Parser callbacks

    def on_headers_complete(self) -> None:
        """Check the head, then let uvicorn start or queue the request."""
        parser = self.parser
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                raise _RefusedError(HTTPStatus.BAD_REQUEST)
            return
        fault = head_fault(parser.get_http_version(), self.url, self.headers, self.limits) or self._overload()
        if fault is not None:
            raise _RefusedError(fault)
        earlier = self.cycle
        super().on_headers_complete()
        if len(self.pipeline) == 1:
            self.running = earlier
        self.headers = _DROPPED
        self.phase = "body"
        self.budget = self.limits.max_body_bytes
        self.moved = True

    def _overload(self) -> HTTPStatus | None:
        """Return 503 beyond the caps, unless for health; behind a full pipeline it only ends the connection."""
        if len(self.pipeline) >= MAX_PIPELINED:
            return HTTPStatus.SERVICE_UNAVAILABLE
        limits = self.limits
        if (
            len(self.tasks) - limits.parked.count < limits.max_requests
            and len(self.connections) <= limits.max_connections
        ):
            return None
        healthy = httptools.parse_url(self.url).path in HEALTH_PATHS
        return None if healthy else HTTPStatus.SERVICE_UNAVAILABLE

    def on_message_complete(self) -> None:
        """Expect the next head."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self.phase = "between"
        self.budget = self.limits.max_head_bytes
        self.moved = True

    def on_response_complete(self) -> None:
        """Go on to the next pipelined request, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            self.running, app = self.pipeline.pop()
            self._start_asgi_task(self.running, app)
        elif self.phase == "refused":
            self._linger()

    # Deadlines and refusals

    def _check_deadline(self) -> None:
        """Act on a deadline that has passed, else look again when the next one can pass at the earliest."""
        if self.phase == "refused":  # `on_response_complete` ends it
            return
        limits = self.limits
        now = self.loop.time()
        ours = self._is_our_turn()
        if ours or self.held_up:
            self.since = now
        self.held_up = ours and self.phase == "body"
        seconds = {"between": limits.idle_seconds, "head": limits.header_seconds, "body": limits.body_seconds}
        deadline = self.since + seconds[self.phase]
        if deadline > now:
            self.timer = self.loop.call_at(min(deadline, now + min(seconds.values())), self._check_deadline)
        elif self.phase == "between":
            self._close()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _is_our_turn(self) -> bool:
        """Whether the peer waits for us: for an answer, to be read from, or for 100 Continue (RFC 9110 §10.1.1)."""
        if self.phase == "body":
            return bool(self.pipeline) or self.flow.read_paused or self.cycle.waiting_for_100_continue
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, status: HTTPStatus) -> None:
        """End the connection with an answer, but never let it pass for the answer to an earlier request."""
        self.logger.info("Request refused before the application: %d", status)
        begun = self.phase == "body"
        if not begun and self.headers:
            self.headers.clear()  # uvicorn's scope holds them too, for as long as the connection stays
        earlier_unanswered = bool(self.pipeline) if begun else self._is_our_turn()
        self.phase = "refused"
        if earlier_unanswered:  # `on_response_complete` ends the connection after them
            if begun:
                self.pipeline.popleft()
            return
        answered = begun and self.cycle.response_started
        if begun:
            _disconnect(self.cycle)
        if not answered and not self.transport.is_closing():
            self.transport.write(refusal(status, self.server_state.default_headers))
        self._linger()

    def _linger(self) -> None:
        """Say that nothing more will come, and close when the peer does or soon after."""
        if self.transport.is_closing():
            self._close()
            return
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._call_later(LINGER_SECONDS, self._close)

    def _close(self) -> None:
        """Close once the peer has taken what is written, which may take a while but not for ever."""
        self.transport.close()
        self._call_later(DRAIN_SECONDS, self.transport.abort)

    def _call_later(self, seconds: float, callback: "Callable[[], None]") -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.loop.call_later(seconds, callback)


def _disconnect(cycle: RequestResponseCycle) -> None:
    """Make the application see `http.disconnect`, and drop what it still sends."""
    if not cycle.response_complete:
        cycle.disconnected = True
        cycle.message_event.set()
