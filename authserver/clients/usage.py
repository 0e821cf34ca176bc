"""When each secret was last used: noted in memory on the hot path, written now and then, never in the way."""

from __future__ import annotations

from authserver.core.errors import TemporarilyUnavailable
from authserver.core.ports import ClientSecretStore


class SecretUsage:
    """Buffers `last_used_at`. A crash loses a few seconds of it, which no decision depends on."""

    def __init__(self, *, store: ClientSecretStore) -> None:
        """Write to `store` on `flush`."""
        self._store = store
        self._last_used_at: dict[str, int] = {}

    def note(self, credential_id: str, now_seconds: int) -> None:
        """Remember that the secret was used now."""
        self._last_used_at[credential_id] = now_seconds

    async def flush(self) -> None:
        """Write what was noted; what cannot be written is kept for the next time."""
        noted, self._last_used_at = self._last_used_at, {}
        if not noted:
            return
        try:
            await self._store.record_use(noted)
        except TemporarilyUnavailable:
            self._last_used_at = noted | self._last_used_at
