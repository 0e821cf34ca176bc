"""What has been revoked: single tokens by `jti`, or everything issued before a moment (a watermark)."""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple


class RevocationKind(StrEnum):
    """JTI names one token; every other kind is a watermark over all tokens that carry the value."""

    JTI = "jti"
    CLIENT = "client"
    CREDENTIAL = "credential"
    WORKSPACE = "workspace"
    SUBJECT = "subject"
    KID = "kid"
    ALL = "all"


#: How far the clocks of verifiers may be behind: no revocation is forgotten before its token is dead to all of them.
MAX_LEEWAY_SECONDS = 60

#: How long a withdrawn key stays refused, 200 years: whoever stole it can date tokens at will.
WITHDRAWN_SECONDS = 200 * 365 * 86_400

_MARK_CHARACTERS = 8

#: The value of the one watermark of kind ALL.
EVERYTHING = "*"


class Revocation(NamedTuple):
    """One entry. `expires_at` (seconds) is when no token that it refuses can still be alive.

    A watermark refuses tokens whose `jti` carries a time of `revoked_at_ms` or earlier.
    `sequence` is its place in the order of revocations, given by the store.

    A tuple, where other values are dataclasses: a start makes a million of them, each in a quarter of the time.
    """

    kind: RevocationKind
    value: str
    workspace_id: str
    revoked_at_ms: int
    expires_at: int
    reason: str = ""
    actor: str = ""
    sequence: int = 0

    @property
    def place(self) -> Place:
        """Return where it stands in the order of revocations."""
        content = "\n".join((self.kind, self.value, self.workspace_id, str(self.revoked_at_ms), str(self.expires_at)))
        return Place(self.sequence, sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_CHARACTERS])


class Place(NamedTuple):
    """Where somebody stands who has read all revocations up to one: its `sequence`, and what it said.

    A database that was put back from a backup gives the same sequences again, to other revocations.
    """

    sequence: int
    mark: str


#: Where nothing has been read yet.
BEGINNING = Place(0, "")
