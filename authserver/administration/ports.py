"""What the verbs ask of their surroundings; the composition root supplies it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from authserver.core.revocation import Revocation, RevocationKind

#: Awaited after each write, so that this instance sees what it has just stored.
Settle = Callable[[], Awaitable[None]]


class Revoker(Protocol):
    """Writes revocations: when the call returns, the entry is durable and obeyed here."""

    async def revoke(
        self, kind: RevocationKind, value: str, *, workspace_id: str, reason: str, actor: str, ahead_seconds: int = 0
    ) -> Revocation:
        """Revoke one token (`jti`) or set a watermark at the present moment, or ahead of it.

        Raises ValidationFailed for a value that no token could carry, TemporarilyUnavailable.
        """
