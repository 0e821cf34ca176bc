"""Answers and errors in their wire form (RFC 6749 §5, RFC 6750 §3): one renderer, ASCII, nothing echoed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from authserver.core.errors import (
    AuthServerError,
    InsufficientScope,
    InvalidClient,
    InvalidToken,
    MethodNotAllowed,
    PayloadTooLarge,
    RequestTimeout,
    TemporarilyUnavailable,
    TooManyRequests,
)
from authserver.wire.http import CLOSE, JSON, NO_STORE, Answer

REALM = "authserver"

_BASIC_CHALLENGE = (b"www-authenticate", b'Basic realm="authserver", charset="UTF-8"')

encode_json = msgspec.json.Encoder().encode


def json_answer(value: Any, status: int = 200) -> Answer:
    """Return a JSON answer that no cache keeps."""
    return Answer(status, encode_json(value))


def error_answer(error: AuthServerError, *, request_id: str, challenge: bool = True) -> Answer:
    """Render an error as RFC 6749 §5.2 has it. `challenge`: name the scheme that a 401 asks for."""
    body = encode_json({"error": error.error, "error_description": error.description, "request_id": request_id})
    headers = [JSON, NO_STORE]
    match error:
        case InvalidClient():
            if challenge:
                headers.append(_BASIC_CHALLENGE)
        case InvalidToken() | InsufficientScope():
            headers.append((b"www-authenticate", f'Bearer realm="{REALM}", error="{error.error}"'.encode()))
        case TemporarilyUnavailable() | TooManyRequests():
            headers.append((b"retry-after", str(error.retry_after_seconds).encode()))
        case MethodNotAllowed():
            headers.append((b"allow", error.allow.encode()))
        case PayloadTooLarge() | RequestTimeout():
            headers.append(CLOSE)
    return Answer(error.status, body, tuple(headers))


def bearer_refusal(
    error: InvalidToken | InsufficientScope, *, request_id: str, presented: bool, scopes: Sequence[str] = ()
) -> Answer:
    """Render a refusal of RFC 6750 §3 with all that its challenge may say.

    No error code where no token was `presented` (§3.1); the `scopes` that are needed where they are not enough.
    """
    attributes = [f'realm="{REALM}"']
    if presented:
        attributes.append(f'error="{error.error}"')
    if scopes and isinstance(error, InsufficientScope):
        attributes.append(f'scope="{" ".join(scopes)}"')
    challenge = (b"www-authenticate", f"Bearer {', '.join(attributes)}".encode())
    return replace(error_answer(error, request_id=request_id), headers=(JSON, NO_STORE, challenge))
