"""When a token is used, renewed and given up, and when a server that failed is asked again. No clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from authserver.token_client.access_token import Token
from authserver.token_client.errors import TokenError

#: Renewal begins at 80 to 90 % of the lifetime, each process at a moment of its own.
EARLY_SHARE = 0.1
JITTER_SHARE = 0.1

#: But at least so long before the end, or 40 % of a lifetime that is short.
EARLY_MS = 10_000
EARLY_SHARE_AT_MOST = 0.4

#: A token that would end on its way is not sent.
TRAVEL_MS = 2_000
TRAVEL_SHARE_AT_MOST = 0.1

BACKOFF_FIRST_MS = 500
BACKOFF_MAX_MS = 60_000

#: A server that asks for more patience gets this much.
RETRY_AFTER_MAX_MS = 3_600_000

#: Resources that answer 401 to whatever token they get cause so many renewals at once, then one in each interval.
REJECTIONS_AT_ONCE = 5
REJECTION_INTERVAL_MS = 20_000


class Step(Enum):
    """What a caller that needs a token does."""

    USE = auto()  # the token that is held
    RENEW = auto()  # the same, while a new one is fetched
    FETCH = auto()  # wait for a new one
    FAIL = auto()  # the last fetch failed, and it is too early for the next


@dataclass(frozen=True, slots=True)
class Held:
    """All that is known between two calls. `jitter` is from 0 to 1."""

    jitter: float
    token: Token | None = None
    error: TokenError | None = None
    failures: int = 0
    retry_at_ms: int = 0
    rejections_until_ms: int = 0

    def good_token(self, now_ms: int) -> Token | None:
        """Return the token as long as it may be sent."""
        return self.token if self.token is not None and now_ms < good_until_ms(self.token) else None

    def retry_after_seconds(self, now_ms: int) -> int:
        """Return in how many seconds the server is asked again, rounded up."""
        return max(0, -((now_ms - self.retry_at_ms) // 1000))


def good_until_ms(token: Token) -> int:
    """Return until when the token is sent: shortly before it expires."""
    return token.asked_at_ms + token.lifetime_ms - min(TRAVEL_MS, int(token.lifetime_ms * TRAVEL_SHARE_AT_MOST))


def renew_at_ms(token: Token, jitter: float) -> int:
    """Return from when on the token is renewed while it is still good."""
    at_least = min(EARLY_MS, token.lifetime_ms * EARLY_SHARE_AT_MOST)
    early = max(token.lifetime_ms * EARLY_SHARE, at_least) + token.lifetime_ms * JITTER_SHARE * jitter
    return token.asked_at_ms + token.lifetime_ms - int(early)


def next_step(held: Held, now_ms: int) -> Step:
    """Decide for a caller that comes now."""
    may_ask = now_ms >= held.retry_at_ms
    token = held.good_token(now_ms)
    if token is None:
        return Step.FETCH if may_ask else Step.FAIL
    return Step.RENEW if may_ask and now_ms >= renew_at_ms(token, held.jitter) else Step.USE


def after_success(held: Held, token: Token, jitter: float) -> Held:
    """Return what is held when a fetch brought `token`."""
    return Held(jitter, token, rejections_until_ms=held.rejections_until_ms)


def after_failure(held: Held, error: TokenError, now_ms: int, jitter: float) -> Held:
    """Return what is held when a fetch failed: the same token, and a moment before which nobody asks again.

    Never before the server's Retry-After (RFC 9110 §10.2.3), of an hour at most.
    """
    backoff = min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS << min(held.failures, 16))
    asked = min(RETRY_AFTER_MAX_MS, (error.retry_after_seconds or 0) * 1000)
    wait = max(backoff * (1 + jitter) / 2, asked * (1 + jitter / 10))
    return replace(held, error=error, failures=held.failures + 1, retry_at_ms=now_ms + int(wait))


def after_rejection(held: Held, now_ms: int) -> Held | None:
    """Return what is held when a 401 asks for a renewal; None when none is due: the server rests, or too many came."""
    begin = max(held.rejections_until_ms, now_ms)
    too_many = begin - now_ms > REJECTION_INTERVAL_MS * (REJECTIONS_AT_ONCE - 1)
    if too_many or now_ms < held.retry_at_ms:
        return None
    return replace(held, rejections_until_ms=begin + REJECTION_INTERVAL_MS)
