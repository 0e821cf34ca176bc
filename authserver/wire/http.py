"""One request and one answer, as the endpoints see them (RFC 9110). Only the front door talks ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from authserver.core.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from authserver.wire.arrived import arrived_body

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

MAX_BODY_BYTES = 64 * 1024

NO_STORE = (b"cache-control", b"no-store")
JSON = (b"content-type", b"application/json")
#: Ends the connection after the answer (RFC 9112 §9.6).
CLOSE = (b"connection", b"close")


class Parked:
    """Counts the requests that wait within `with parked:` for somebody else; they keep nobody from being served."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        """Begin to wait."""
        self.count += 1

    def __exit__(self, *_: object) -> None:
        """Have what was waited for, or give up."""
        self.count -= 1


#: Where the state of an ASGI scope holds the Parked of its server.
PARKED_KEY = "authserver.parked"


def parked_of(scope: Scope) -> Parked:
    """Return the server's; one that nobody looks at under a server that has none."""
    state = scope.get("state")
    return (state and state.get(PARKED_KEY)) or Parked()


class ClientGone(Exception):
    """The client hung up before its request was complete."""


@dataclass(slots=True)
class Request:
    """A request on its way.

    `notes` are fields for its line in the log: ids and outcomes, never secrets. `challenge` says whether a
    401 names the Basic scheme: clients that sent their secret in the body did not ask for it. What takes long and is
    no work of ours is awaited within `parked`.
    """

    method: str
    headers: Headers = field(repr=False)
    query: bytes = field(repr=False)
    receive: Receive
    address: str
    notes: dict[str, object]
    challenge: bool = True
    parked: Parked = field(default_factory=Parked, repr=False)

    def header_values(self, name: bytes) -> list[bytes]:
        """Return all values of a header, `name` in lower case."""
        return [value for key, value in self.headers if key == name]

    async def body(self) -> bytes:
        """Return the whole body, at most 64 KB; raise PayloadTooLarge, UnsupportedMediaType or ClientGone."""
        for name, value in self.headers:
            if name == b"content-encoding":
                raise UnsupportedMediaType("the body has a content coding")
            if name == b"content-length" and not (value.isdigit() and int(value[:20]) <= MAX_BODY_BYTES):
                raise PayloadTooLarge(f"more than {MAX_BODY_BYTES} bytes announced")
        body = arrived_body(self.receive)
        if body is not None:
            return self._capped(body)
        with self.parked:
            return await self._received()

    async def _received(self) -> bytes:
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            return self._capped(message["body"])
        chunks = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunks += message.get("body", b"")
            self._capped(chunks)
            if not message.get("more_body"):
                return bytes(chunks)
            message = await self.receive()

    def _capped(self, body: bytes | bytearray) -> bytes:
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLarge(f"more than {MAX_BODY_BYTES} bytes sent")
        return body  # type: ignore[return-value] # the bytearray is only measured

    def refuse_query(self) -> None:
        """Raise InvalidRequest when the URL has a query: parameters belong into the body (RFC 6749 §3.2)."""
        if self.query:
            raise InvalidRequest("parameters in the query string")


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response; the front door adds the headers that all responses carry."""

    status: int
    body: bytes = field(repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = (JSON, NO_STORE)


class Endpoint(Protocol):
    """One address of the server."""

    @property
    def methods(self) -> frozenset[str] | None:
        """Return the methods that it answers, as its Allow header lists them (RFC 9110 §10.2.1); None for all."""

    async def __call__(self, request: Request) -> Answer:
        """Answer one request; raise an error of the table in `core/errors.py` for everything else."""
