"""The front door: every request gets an id, an endpoint, a safe answer, a line in the log and a count.

Exact raw paths are looked up in a table, so that no second spelling of a path reaches an endpoint (HTTP-10);
whatever is not in the table, nor below one of the few prefixes whose endpoint judges paths itself, goes to `fallback`,
an ASGI application that renders its own errors.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import structlog

from authserver.core.errors import AuthServerError, MethodNotAllowed, NotFound, ServerError, TemporarilyUnavailable
from authserver.telemetry.logs import current_request_id, request_log
from authserver.telemetry.metrics import Metrics
from authserver.wire.answers import error_answer
from authserver.wire.http import Answer, ClientGone, Endpoint, Receive, Request, Scope, Send, parked_of
from authserver.wire.response import Fields, send_answer

#: Where an ASGI application behind the door finds the request id.
REQUEST_ID_KEY = "authserver.request_id"

_COMMON_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_FORBIDDEN_ESCAPES = (b"%2f", b"%5c", b"%2e", b"%00")
_FIXED_SEGMENTS = 3  # `/admin/v1/clients/{id}`: only ids, which stand behind these, may hold escapes
_GONE = Answer(499, b"")  # never sent: the line in the log for a client that hung up

#: Paths by name: what the log and the metrics call them.
Table = Mapping[bytes, tuple[str, Endpoint]]
#: Prefixes that end with a slash, by name: what makes an endpoint of the raw path from that slash on.
Prefixes = Mapping[bytes, tuple[str, Callable[[bytes], Endpoint]]]
Application = Any  # an ASGI 3 application: async (scope, receive, send)


class RequestIds:
    """Makes request ids of one length: a random part for the process and a running number."""

    def __init__(self) -> None:
        self._prefix = os.urandom(6).hex()
        self._numbers = itertools.count(1)

    def __call__(self) -> str:
        """Return the next id."""
        return f"{self._prefix}-{next(self._numbers):08x}"


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks whose `X-Forwarded-For` is believed (for the log and, later, for rules by address)."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def address(self, scope: Scope) -> str:
        """Return the caller's address: the socket's, or the rightmost one that no trusted proxy added."""
        peer = scope.get("client")
        address = peer[0] if peer else ""
        if not self.networks or not self._trusts(address):
            return address
        values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        if not values:
            return address
        for hop in reversed(b",".join(values).decode("latin-1").split(",")):
            address = hop.strip()
            if not self._trusts(address):
                return address if _is_address(address) else ""
        return address

    def _trusts(self, address: str) -> bool:
        if not _is_address(address):
            return False
        parsed = ip_address(address)
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self.networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


class FrontDoor:
    """The outermost ASGI application."""

    def __init__(
        self,
        *,
        table: Table,
        fallback: Application,
        metrics: Metrics,
        proxies: TrustedProxies,
        prefixes: Prefixes | None = None,
        fields: Callable[[], Fields] = tuple,
    ) -> None:
        """Serve the endpoints of `table` by exact path, then those below `prefixes`, all else through `fallback`.

        `fields` returns what each answer has at that moment, besides the header fields that all have.
        """
        self._table = table
        self._prefixes = prefixes or {}
        self._fields = fields
        self._fallback = fallback
        self._metrics = metrics
        self._proxies = proxies
        self._new_request_id = RequestIds()
        self._log_request = request_log()
        self._log = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            raise RuntimeError("only HTTP is served")
        started = time.perf_counter()
        request_id = self._new_request_id()
        context = current_request_id.set(request_id)
        notes: dict[str, object] = {}
        try:
            address = self._proxies.address(scope)
            entry = self._table.get(scope["raw_path"]) or self._below(scope["raw_path"])
            if entry is None:
                name = "admin"
                status = await self._forward(scope, receive, send, request_id)
            else:
                name, endpoint = entry
                request = Request(
                    scope["method"],
                    scope["headers"],
                    scope["query_string"],
                    receive,
                    address,
                    notes,
                    parked=parked_of(scope),
                )
                answer = await self._answer(endpoint, request, request_id)
                status = answer.status
                if answer is not _GONE:
                    await send_answer(send, answer, *self._headers(request_id))
            seconds = time.perf_counter() - started
            self._metrics.observe_request(name, status, seconds)
            self._log_request(
                {
                    "method": scope["method"],
                    "path": scope["raw_path"].decode("latin-1"),
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                    "address": address,
                    **notes,
                }
            )
        finally:
            current_request_id.reset(context)

    def _below(self, raw_path: bytes) -> tuple[str, Endpoint] | None:
        for prefix, (name, endpoint_for) in self._prefixes.items():
            if raw_path.startswith(prefix):
                return name, endpoint_for(raw_path[len(prefix) - 1 :])
        return None

    def _headers(self, request_id: str) -> Fields:
        return (*_COMMON_HEADERS, (b"x-request-id", request_id.encode()), *self._fields())

    async def _answer(self, endpoint: Endpoint, request: Request, request_id: str) -> Answer:
        """Return the endpoint's answer, or the error that it raised in its wire form."""
        try:
            methods = endpoint.methods
            if methods is not None and request.method not in methods:
                raise MethodNotAllowed(", ".join(sorted(methods)))  # noqa: TRY301
            return await endpoint(request)
        except ClientGone:
            return _GONE
        except AuthServerError as error:
            request.notes["error"] = error.error
            request.notes["reason"] = error.reason
            if error.status >= ServerError.status and not isinstance(error, TemporarilyUnavailable):
                self._log.error("request.failed", exc_info=error)
            return error_answer(error, request_id=request_id, challenge=request.challenge)
        except Exception as error:  # noqa: BLE001 - the last line of defence: a safe answer, whatever happened
            self._log.error("request.failed", exc_info=error)
            return error_answer(ServerError(), request_id=request_id)

    async def _forward(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> int:
        """Let the fallback answer, with our headers added; return the status that it sent."""
        if _has_second_spelling(scope["raw_path"]):
            await send_answer(send, error_answer(NotFound(), request_id=request_id), *self._headers(request_id))
            return NotFound.status
        status = 0

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._headers(request_id)]
            await send(message)

        scope[REQUEST_ID_KEY] = request_id
        try:
            await self._fallback(scope, receive, send_with_headers)
        except ClientGone:
            return _GONE.status
        except Exception as error:  # noqa: BLE001 - as above
            self._log.error("request.failed", exc_info=error)
            if status:
                raise ConnectionAbortedError from None
            await send_answer(send, error_answer(ServerError(), request_id=request_id), *self._headers(request_id))
            return ServerError.status
        return status


def _has_second_spelling(raw_path: bytes) -> bool:
    """Tell whether escapes spell a name of the route table, or hide what separates segments (HTTP-10)."""
    before, escape, _ = raw_path.partition(b"%")
    if not escape:
        return False
    lowered = raw_path.lower()
    return before.count(b"/") <= _FIXED_SEGMENTS or any(forbidden in lowered for forbidden in _FORBIDDEN_ESCAPES)
