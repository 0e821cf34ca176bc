"""Clients in memory: loaded on first use, forgotten when somebody changes them, bounded in number."""

from __future__ import annotations

from collections import OrderedDict

from authserver.core.client import Client
from authserver.core.ports import ClientStore, Knowledge


class ClientDirectory:
    """A bounded cache of clients, least recently used first out.

    It is believed as long as this process hears of other processes' changes, and for `grace_seconds`
    after the database went away.
    """

    def __init__(self, *, store: ClientStore, knowledge: Knowledge, capacity: int, grace_seconds: int) -> None:
        """Hold up to `capacity` clients of `store`."""
        self._store = store
        self._knowledge = knowledge
        self._capacity = capacity
        self._grace_seconds = grace_seconds
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self._generation = 0

    def held(self, client_id: str) -> Client | None:
        """Return the client if it is in memory; raise TemporarilyUnavailable when memory is too old to believe."""
        client = self._clients.get(client_id)
        if client is not None:
            self._knowledge.require_fresh(self._grace_seconds)
            self._clients.move_to_end(client_id)
        return client

    async def load(self, client_id: str) -> Client | None:
        """Read the client anew from the store; raise TemporarilyUnavailable when that fails."""
        generation = self._generation
        client = await self._store.get(client_id)
        if client is None:
            self._clients.pop(client_id, None)
        elif generation == self._generation:  # else it may have changed while it was read: do not keep it
            self._clients[client_id] = client
            self._clients.move_to_end(client_id)
            if len(self._clients) > self._capacity:
                self._clients.popitem(last=False)
        return client

    async def get(self, client_id: str) -> Client | None:
        """Return the client, from memory or else from the store."""
        return self.held(client_id) or await self.load(client_id)

    def forget(self, client_id: str) -> None:
        """Drop one client that was changed."""
        self._generation += 1
        self._clients.pop(client_id, None)

    def forget_all(self) -> None:
        """Drop everything: what changed is unknown."""
        self._generation += 1
        self._clients.clear()

    def __len__(self) -> int:
        """Return how many clients are held."""
        return len(self._clients)
