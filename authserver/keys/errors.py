"""What can go wrong with keys."""

from __future__ import annotations

from authserver.core.errors import ServerError
from authserver.jose.errors import UntrustedToken


class NotHeardOf(UntrustedToken):
    """The token looks like ours and names a key, or is for a resource, that this process does not know.

    Another instance may have made it a moment ago: only who has just asked the database can tell.
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
