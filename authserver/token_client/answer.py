"""What an answer of the authorization server means (RFC 6749 §5, RFC 8414 §3.3). No clock, no I/O."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from authserver.token_client.access_token import Token
from authserver.token_client.errors import TokenRefused, TokenUnavailable

#: What counts as the lifetime when `expires_in` is absent, which RFC 6749 §5.1 allows.
DEFAULT_LIFETIME_SECONDS = 300

#: Nothing is kept for longer than a year, whatever `expires_in` says.
MAX_LIFETIME_SECONDS = 31_536_000

MAX_TOKEN_CHARACTERS = 16 * 1024

_OK = 200
_REDIRECTS = range(300, 400)
_REFUSALS = range(400, 500)
_AWAY = {404, 405, 408, 410, 425, 429}  # too busy, or not the token endpoint: it may have moved
_AWAY_CODES = {"temporarily_unavailable", "server_error"}

_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1
_CODE = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]{1,64}")  # RFC 6749 §5.2
_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]{1,300}")
_SECONDS = re.compile(r"[0-9]{1,1000}")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole: when it was seen, by the system's clock, and its fields Date and Retry-After."""

    status: int
    body: bytes = field(repr=False)
    seen_at: datetime
    date: str | None = None
    retry_after: str | None = None


def token_of(answer: Answer, *, asked_at_ms: int, hidden: Collection[str]) -> Token:
    """Return the token of a token response.

    Raises TokenRefused for an OAuth error, TokenUnavailable for anything else that is no bearer token. A text of the
    server that repeats one of the `hidden` strings is left out.
    """
    document = _json_object(answer.body)
    if answer.status != _OK:
        raise _failure(answer, document or {}, hidden)
    if document is None:
        raise TokenUnavailable("the answer of the token endpoint is not a JSON object")
    text, token_type, scope = document.get("access_token"), document.get("token_type"), document.get("scope")
    if not isinstance(text, str) or len(text) > MAX_TOKEN_CHARACTERS or not _B64TOKEN.fullmatch(text):
        raise TokenUnavailable("the answer of the token endpoint has no access_token that can be sent")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise TokenUnavailable("the token_type of the answer is not Bearer")
    if scope is not None and not isinstance(scope, str):
        raise TokenUnavailable("the scope of the answer is not text")
    return Token(text, asked_at_ms, _lifetime_ms(document.get("expires_in", DEFAULT_LIFETIME_SECONDS)), scope)


def token_endpoint_of(answer: Answer, issuer: str) -> str:
    """Return the token endpoint of the metadata; raise TokenUnavailable unless they are exactly this issuer's."""
    if answer.status != _OK:
        raise TokenUnavailable(
            f"the issuer's metadata cannot be had: HTTP {answer.status}", retry_after_seconds=_retry_after(answer)
        )
    document = _json_object(answer.body) or {}
    if document.get("issuer") != issuer:
        claimed = _text(document.get("issuer"), _DESCRIPTION, ()) or "another issuer"
        raise TokenUnavailable(f"the metadata are those of {claimed}, not of {issuer}")
    endpoint = document.get("token_endpoint")
    if not isinstance(endpoint, str):
        raise TokenUnavailable("the metadata name no token endpoint")
    return endpoint


def _failure(answer: Answer, document: dict[str, Any], hidden: Collection[str]) -> TokenRefused | TokenUnavailable:
    retry_after = _retry_after(answer)
    error = _text(document.get("error"), _CODE, hidden)
    if answer.status in _REFUSALS and answer.status not in _AWAY and error and error not in _AWAY_CODES:
        description = _text(document.get("error_description"), _DESCRIPTION, hidden)
        reason = f"the token endpoint refused: {error}" + (f" ({description})" if description else "")
        return TokenRefused(reason, error=error, retry_after_seconds=retry_after)
    reason = f"the token endpoint answered {answer.status}"
    if answer.status in _REDIRECTS:
        reason += ", a redirect, which is not followed"
    return TokenUnavailable(reason, retry_after_seconds=retry_after)


def _text(value: object, form: re.Pattern[str], hidden: Collection[str]) -> str | None:
    if not isinstance(value, str) or not form.fullmatch(value) or any(word in value for word in hidden):
        return None
    return value


def _lifetime_ms(expires_in: object) -> int:
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float) or not expires_in > 0:
        raise TokenUnavailable("the expires_in of the answer is not a positive number")
    lifetime = min(expires_in, MAX_LIFETIME_SECONDS)
    return math.ceil(lifetime * 1000)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _retry_after(answer: Answer) -> int | None:
    """Return the seconds of a Retry-After header: a number, or a date by the server's clock (RFC 9110 §10.2.3)."""
    value = (answer.retry_after or "").strip()
    if _SECONDS.fullmatch(value):
        return int(value)
    until = _date(value)
    if until is None:
        return None
    return max(0, math.ceil((until - (_date(answer.date or "") or answer.seen_at)).total_seconds()))


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None
