"""What a claims template can fail with: at save (422), and at issue (400, the reason is the operator's)."""

from __future__ import annotations

from authserver.core.errors import InvalidRequest, ValidationFailed


class InvalidTemplate(ValidationFailed):
    """The template does not compile; its one problem starts with `line 3, column 7:`."""


class MissingClaim(InvalidRequest):
    """A value that the template calls `required` is missing; the reason names the claim."""


class ClaimsTooLarge(InvalidRequest):
    """The rendered claims exceed what a token may carry; the reason gives the size."""
