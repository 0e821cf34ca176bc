"""Refusals: what the caller is told (RFC 6750 §3), and the precise reason for the operator's log.

Each refusal knows its whole answer, so that every integration gives the same one.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

#: RFC 6750 §3 wants at least one parameter.
_SOME_PARAMETER = 'realm="access"'


class Refusal(Exception):
    """Raised in place of a VerifiedToken.

    `status` and `headers()` are the answer; `body` is its JSON. `reason` is the precise cause in words of our own,
    for a log: it repeats nothing of the token and does not belong in the answer.
    """

    status: ClassVar[int]
    error: ClassVar[str | None]
    description: ClassVar[str]

    def __init__(self, reason: str) -> None:
        """Keep `reason` for the operator."""
        super().__init__(reason)
        self.reason = reason

    @property
    def body(self) -> dict[str, str]:
        """Return what the caller may read."""
        return {"error": self.error or "invalid_token", "error_description": self.description}

    def headers(self, *, realm: str = "", resource_metadata: str = "") -> tuple[tuple[str, str], ...]:
        """Return the header fields of the answer, with the challenge of RFC 6750 §3.

        `resource_metadata` is the URL of the protected resource's metadata (RFC 9728 §5.1).
        """
        given = {"realm": realm, **self._parameters(), "resource_metadata": resource_metadata}
        challenge = ", ".join(f'{name}="{value}"' for name, value in given.items() if value)
        return (("WWW-Authenticate", f"Bearer {challenge or _SOME_PARAMETER}"), ("Cache-Control", "no-store"))

    def _parameters(self) -> dict[str, str]:
        return {"error": self.error or "", "error_description": self.description if self.error else ""}


class MissingToken(Refusal):
    """There is no access token: the challenge names no error (RFC 6750 §3.1)."""

    status = 401
    error = None
    description = "An access token is required."


class MalformedRequest(Refusal):
    """The token was sent in a way that is not allowed, or in two ways at once (RFC 6750 §2, §3.1)."""

    status = 400
    error = "invalid_request"
    description = "The access token must be sent once, in the Authorization header."


class InvalidToken(Refusal):
    """The token is malformed, expired, revoked, or not for this service (RFC 6750 §3.1)."""

    status = 401
    error = "invalid_token"
    description = "The access token is not valid here."


class InsufficientScope(Refusal):
    """The token is good and does not allow this (RFC 6750 §3.1)."""

    status = 403
    error = "insufficient_scope"
    description = "The access token does not allow this."

    def __init__(self, reason: str, *, scope: str) -> None:
        """`scope` is what would allow it, space-separated; the caller is told."""
        super().__init__(reason)
        self.scope = scope

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes the same refusal in another process."""
        return partial(type(self), scope=self.scope), (self.reason,)

    def _parameters(self) -> dict[str, str]:
        return {**super()._parameters(), "scope": self.scope}


class CannotVerify(Refusal):
    """What is known of keys or revocations is missing or too old: nobody can tell, so nobody is let in."""

    status = 503
    error = "temporarily_unavailable"
    description = "The access token cannot be checked at the moment. Try again later."
    retry_after_seconds: ClassVar[int] = 1

    def headers(self, *, realm: str = "", resource_metadata: str = "") -> tuple[tuple[str, str], ...]:  # noqa: ARG002
        """Return the header fields of the answer; a challenge would be no help."""
        return (("Retry-After", str(self.retry_after_seconds)), ("Cache-Control", "no-store"))
