"""Why there is no token, or why it is not sent. No text here holds a token or a secret."""

from __future__ import annotations

from functools import partial
from typing import Any, Self


class TokenError(Exception):
    """No token. `reason` says why, `retry_after_seconds` when the server is asked again, if that is known."""

    def __init__(self, reason: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds

    def again(self, retry_after_seconds: int | None) -> Self:
        """Return the same error for another caller: an exception that many raise would collect their tracebacks."""
        return type(self)(self.reason, retry_after_seconds=retry_after_seconds)


class TokenUnavailable(TokenError):
    """The server is away, overloaded, or gave an answer that is no token response. Trying later may help."""


class TokenRefused(TokenError):
    """The server refused (RFC 6749 §5.2); `error` is its code, such as `invalid_client` or `invalid_scope`."""

    def __init__(self, reason: str, *, error: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(reason, retry_after_seconds=retry_after_seconds)
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes the same error in another process."""
        made = partial(type(self), error=self.error, retry_after_seconds=self.retry_after_seconds)
        return made, (self.reason,)

    def again(self, retry_after_seconds: int | None) -> Self:
        """Return the same error for another caller."""
        return type(self)(self.reason, error=self.error, retry_after_seconds=retry_after_seconds)


class OriginNotAllowed(TokenError):
    """The request goes where the token must not go; nothing was sent."""
