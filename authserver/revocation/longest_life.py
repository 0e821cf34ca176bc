"""How long tokens live at most, whatever the settings were when they were issued: a watermark must outlive them all."""

from __future__ import annotations

from authserver.core.ports import StateStore

#: The greatest AUTHSERVER_MAX_ACCESS_TOKEN_TTL, in seconds, that any instance of the deployment ever had.
LONGEST_TTL_STATE = "longest_access_token_ttl"


class LongestLife:
    """Remembers the longest life in the database, for other instances and for those that start with less."""

    def __init__(self, *, state: StateStore, max_ttl_seconds: int) -> None:
        """No token that is issued here lives longer than `max_ttl_seconds`."""
        self._state = state
        self._max_ttl_seconds = max_ttl_seconds

    async def __call__(self) -> int:
        """Return it in seconds, as known now, ours included; raise TemporarilyUnavailable."""
        stored = int(await self._state.get(LONGEST_TTL_STATE) or 0)
        if stored < self._max_ttl_seconds:
            await self._state.put(LONGEST_TTL_STATE, str(self._max_ttl_seconds))
        return max(stored, self._max_ttl_seconds)
