"""The one error table (RFC 6749 §5.2, RFC 6750 §3.1, RFC 7009 §2.2.1, RFC 8707 §2, RFC 9457).

Errors are raised, never returned. `reason` is the precise cause, for logs and the audit; the caller
sees `error` and the class's own `description`, or `detail` where an administrator must mend the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class AuthServerError(Exception):
    """What went wrong, as a caller may see it. Subclasses are the whole vocabulary of failures."""

    error: ClassVar[str] = "server_error"
    status: ClassVar[int] = 500
    description: ClassVar[str] = "The server could not answer. The request id finds the reason in its log."

    def __init__(self, reason: str = "") -> None:
        """Keep `reason` for the operator; it never reaches a caller."""
        super().__init__(reason or self.description)
        self.reason = reason or self.description


class ServerError(AuthServerError):
    """Something that should not happen did."""


class InvalidRequest(AuthServerError):
    """The request is malformed, repeats a parameter or mixes authentication methods (RFC 6749 §5.2)."""

    error = "invalid_request"
    status = 400
    description = "The request is missing a parameter, repeats one, or is otherwise malformed."


class InvalidClient(AuthServerError):
    """Client authentication failed, whatever the cause (RFC 6749 §5.2)."""

    error = "invalid_client"
    status = 401
    description = "Client authentication failed."


class InvalidGrant(AuthServerError):
    """The token presented was issued to another client (RFC 6749 §5.2, RFC 7009 §2.1)."""

    error = "invalid_grant"
    status = 400
    description = "The token was not issued to this client."


class UnauthorizedClient(AuthServerError):
    """The client may not use this grant type (RFC 6749 §5.2)."""

    error = "unauthorized_client"
    status = 400
    description = "The client is not allowed to use this grant type."


class UnsupportedGrantType(AuthServerError):
    """No such grant type here (RFC 6749 §5.2)."""

    error = "unsupported_grant_type"
    status = 400
    description = "The grant type is not supported."


class InvalidScope(AuthServerError):
    """The scope is malformed or exceeds what was granted (RFC 6749 §5.2)."""

    error = "invalid_scope"
    status = 400
    description = "The requested scope is malformed or exceeds what the client was granted."


class InvalidTarget(AuthServerError):
    """The resource is malformed, unknown or not allowed to the client (RFC 8707 §2)."""

    error = "invalid_target"
    status = 400
    description = "The requested resource is malformed or not allowed to this client."


class TemporarilyUnavailable(AuthServerError):
    """A dependency failed: we cannot know, so we do not guess (RFC 7009 §2.2.1)."""

    error = "temporarily_unavailable"
    status = 503
    description = "The server cannot answer for the moment. Try again later."
    retry_after_seconds: ClassVar[int] = 1


class TooManyRequests(AuthServerError):
    """The caller asks too much too fast (RFC 6585 §4)."""

    error = "temporarily_unavailable"
    status = 429
    description = "Too many requests."
    retry_after_seconds: ClassVar[int] = 60


class PayloadTooLarge(AuthServerError):
    """The body is larger than any honest request (RFC 9110 §15.5.14)."""

    error = "invalid_request"
    status = 413
    description = "The request body is too large."


class RequestTimeout(AuthServerError):
    """The body did not arrive in time (RFC 9110 §15.5.9)."""

    error = "invalid_request"
    status = 408
    description = "The request did not arrive in time."


class UnsupportedMediaType(AuthServerError):
    """The body has a type or a coding that this door does not read (RFC 9110 §15.5.16)."""

    error = "invalid_request"
    status = 415
    description = "The content type or content coding is not supported here."


class NotFound(AuthServerError):
    """No such thing, or not for this caller."""

    error = "not_found"
    status = 404
    description = "There is nothing here."


class MethodNotAllowed(AuthServerError):
    """The resource exists, the method does not (RFC 9110 §15.5.6)."""

    error = "invalid_request"
    status = 405
    description = "The method is not allowed here."

    def __init__(self, allow: str) -> None:
        """`allow` is the value of the Allow header, for example `POST`."""
        super().__init__(f"only {allow} is allowed here")
        self.allow = allow


class InvalidToken(AuthServerError):
    """The access token presented as authorization is missing, wrong, expired or revoked (RFC 6750 §3.1)."""

    error = "invalid_token"
    status = 401
    description = "A valid access token is required."


class InsufficientScope(AuthServerError):
    """The access token is good but does not allow this (RFC 6750 §3.1)."""

    error = "insufficient_scope"
    status = 403
    description = "The caller is not allowed to do this."


class AccessDenied(AuthServerError):
    """The client proved who it is, and may not have this (RFC 6749 §4.1.2.1 has the code)."""

    error = "access_denied"
    status = 403
    description = "The client is not allowed to use this."


class AdminError(AuthServerError):
    """An error whose `detail` the administrator may read (RFC 9457 §3.1)."""

    def __init__(self, detail: str = "") -> None:
        """`detail` says what happened and what to do; it never repeats a secret."""
        super().__init__(detail)
        self.detail = detail or self.description


class Conflict(AdminError):
    """The thing exists already, or its state does not allow this step."""

    error = "conflict"
    status = 409
    description = "The request conflicts with the present state."


class PreconditionFailed(AdminError):
    """Somebody changed it in between (RFC 9110 §13.1.1)."""

    error = "precondition_failed"
    status = 412
    description = "The entry was changed by somebody else. Read it again and repeat the change."


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that was refused: where (`client.scope`) and why, without its value."""

    field: str
    problem: str


class ValidationFailed(AdminError):
    """The input was understood and refused; `problems` lists every field at fault (RFC 9457 §3)."""

    error = "validation_failed"
    status = 422
    description = "Some fields were refused."

    def __init__(self, *problems: FieldProblem) -> None:
        """Name every field at fault at once, so that one round trip mends them all."""
        super().__init__("; ".join(f"{p.field}: {p.problem}" for p in problems))
        self.problems = problems

    @classmethod
    def of(cls, field: str, problem: str) -> ValidationFailed:
        """Name one field at fault."""
        return cls(FieldProblem(field, problem))


class ConfigurationError(Exception):
    """The settings do not allow a start. Each line of `problems` names one setting and its remedy."""

    def __init__(self, *problems: str) -> None:
        """Collect all problems: an operator mends them in one go."""
        super().__init__("\n".join(problems))
        self.problems = problems
