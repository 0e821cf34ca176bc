"""Errors as problem details (RFC 9457): JSON in ASCII, the fields at fault, nothing that was sent."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from authserver.core.errors import (
    AdminError,
    AuthServerError,
    InsufficientScope,
    InvalidToken,
    MethodNotAllowed,
    PayloadTooLarge,
    RequestTimeout,
    TemporarilyUnavailable,
    TooManyRequests,
    ValidationFailed,
)
from authserver.wire.answers import REALM
from authserver.wire.http import CLOSE, NO_STORE, Answer

_MEDIA_TYPE = (b"content-type", b"application/problem+json")


def problem_answer(error: AuthServerError, *, request_id: str, authenticated: bool) -> Answer:
    """Return the answer for an error; `authenticated` says whether the request carried an Authorization header."""
    detail = error.detail if isinstance(error, AdminError) and not isinstance(error, ValidationFailed) else None
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": detail or error.description,
        "error": error.error,
        "request_id": request_id,
    }
    if isinstance(error, ValidationFailed):
        problem["errors"] = [{"field": p.field, "problem": p.problem} for p in error.problems]
    headers = (_MEDIA_TYPE, NO_STORE, *_headers(error, authenticated=authenticated))
    return Answer(error.status, json.dumps(problem).encode("ascii"), headers)


def _headers(error: AuthServerError, *, authenticated: bool) -> list[tuple[bytes, bytes]]:
    match error:
        case InvalidToken() if not authenticated:  # RFC 6750 §3.1: no error code for a request without credentials
            return [(b"www-authenticate", f'Bearer realm="{REALM}"'.encode())]
        case InvalidToken() | InsufficientScope():
            return [(b"www-authenticate", f'Bearer realm="{REALM}", error="{error.error}"'.encode())]
        case TemporarilyUnavailable() | TooManyRequests():
            return [(b"retry-after", str(error.retry_after_seconds).encode())]
        case MethodNotAllowed():
            return [(b"allow", error.allow.encode())]
        case PayloadTooLarge() | RequestTimeout():
            return [CLOSE]
    return []
