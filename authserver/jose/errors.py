"""What is wrong with a token."""

from __future__ import annotations

from authserver.core.errors import InvalidToken


class UntrustedToken(InvalidToken):
    """The text is no token that a trusted key has signed (RFC 6750 §3.1, `invalid_token`).

    `reason` says which check failed, in words of our own: nothing of the token is repeated.
    """
