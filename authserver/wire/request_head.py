"""What a connection may ask for, and what is wrong with a request head (RFC 9110, RFC 9112, RFC 6585)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from authserver.wire.http import Parked

# uri-host [":" port] (RFC 9110 §7.2, RFC 3986 §3.2.2) without percent-encoding and sub-delims, which no host we serve
# has, and not empty (RFC 9110 §4.2.1).
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?[ \t]*")
# Lengths of the names that are checked. To hash or compare every name costs ten times as much, 0.5 µs a request.
_CHECKED_LENGTHS: Final = frozenset(map(len, (b"host", b"content-length", b"transfer-encoding")))
_VERSIONS: Final = frozenset({"1.1", "1.0"})  # httptools also lets 0.9 and 2.0 pass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one connection, and all connections of a process together, may ask for.

    Attributes:
        header_seconds: from the first byte of a request head to its end.
        body_seconds: from the end of the head to the end of the body, however the bytes are spread.
        idle_seconds: without a byte, on a new connection and after each response.
        max_head_bytes: request line and header fields together.
        max_headers: number of header fields.
        max_url_bytes: the request target.
        max_body_bytes: the declared Content-Length, or the bytes on the wire of a chunked body, framing included
            (whatever shares a read with the head, at most `max_head_bytes`, is not counted).
        max_connections: open connections; beyond, each new request is answered 503.
        max_requests: requests in the application at once that are not `parked`; beyond, 503.
        parked: counts those that wait for news, or for the rest of their body.

    """

    header_seconds: float = 10.0
    body_seconds: float = 10.0
    idle_seconds: float = 10.0
    max_head_bytes: int = 32 * 1024
    max_headers: int = 100
    max_url_bytes: int = 8 * 1024
    max_body_bytes: int = 1024 * 1024
    max_connections: int = 10_000
    max_requests: int = 2_000
    parked: Parked = field(default_factory=Parked, compare=False)


def head_fault(version: str, url: bytes, headers: Sequence[tuple[bytes, bytes]], limits: Limits) -> HTTPStatus | None:
    """Return the status that refuses a complete head, or None; the names in `headers` are lower-case.

    Sources: RFC 9112 §3 (414), RFC 6585 §5 (431), and those of `_field_fault`.
    """
    if version not in _VERSIONS:
        return HTTPStatus.BAD_REQUEST
    if len(url) > limits.max_url_bytes:
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if len(headers) > limits.max_headers:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return _field_fault(version, headers, limits.max_body_bytes)


def _field_fault(version: str, headers: Sequence[tuple[bytes, bytes]], max_body_bytes: int) -> HTTPStatus | None:
    """Check Host (RFC 9112 §3.2), Transfer-Encoding (§6.1) and the declared length (RFC 9110 §15.5.14).

    Only `chunked` is decoded here, and HTTP/1.0 does not have it. httptools has checked that a length is a number,
    comes once, and not with a Transfer-Encoding.
    """
    hosts = length = 0
    for name, value in headers:
        if len(name) not in _CHECKED_LENGTHS:
            continue
        if name == b"host":
            hosts += 1
            if hosts > 1 or _HOST.fullmatch(value) is None:
                return HTTPStatus.BAD_REQUEST
        elif name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding" and (version != "1.1" or value.strip().lower() != b"chunked"):
            return HTTPStatus.BAD_REQUEST
    if not hosts and version != "1.0":
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if length > max_body_bytes else None


def refusal(status: HTTPStatus, default_headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Render an answer that ends the connection: ASCII JSON, nothing of the request in it."""
    unavailable = status is HTTPStatus.SERVICE_UNAVAILABLE
    body = b'{"error":"temporarily_unavailable"}' if unavailable else b'{"error":"invalid_request"}'
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}".encode("ascii"),
        *(b"%b: %b" % field for field in default_headers),
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"cache-control: no-store",
        b"x-content-type-options: nosniff",
        b"referrer-policy: no-referrer",
        b"connection: close",
        *([b"retry-after: 1"] if unavailable else []),
    ]
    return b"\r\n".join([*lines, b"", body])
