"""What can go wrong with keys and with the tokens that they sign."""

from __future__ import annotations

from authserver.core.errors import InvalidToken, ServerError


class TokenRefused(InvalidToken):
    """The text is not a token that one of our keys has signed for us (RFC 6750 §3.1, `invalid_token`).

    `reason` says which check failed, in words of our own: nothing of the token is repeated.
    """


class SealBroken(ServerError):
    """A sealed value cannot be opened: the secret key that sealed it is missing, or the value is damaged."""

    def __init__(self, *labels: str) -> None:
        """Name what cannot be opened; `labels` are key ids, which are public."""
        super().__init__(
            f"signing key {', '.join(labels)} cannot be decrypted with the present AUTHSERVER_SECRET_KEY; "
            "add the earlier key to the list"
        )
        self.labels = labels
