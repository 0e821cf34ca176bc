"""Which resources a client serves, whichever instance has heard of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from authserver.core.client import Client
from authserver.core.resource import Resource
from authserver.resources.catalog import ResourceCatalog


class ServedResources:
    """Knows the resources of each resource server."""

    def __init__(self, *, resources: ResourceCatalog, look: Callable[[], Awaitable[None]]) -> None:
        """`look` learns what other instances have written; it raises TemporarilyUnavailable."""
        self._resources = resources
        self._look = look

    async def of(self, client: Client, identifier: str | None = None) -> Sequence[Resource]:
        """Return all resources that the client serves, in its workspace.

        Where the one with `identifier`, or any, is missing, another instance may have made it a moment ago: raises
        TemporarilyUnavailable when that cannot be known.
        """
        served = self._held(client)
        if not any(identifier in {None, resource.identifier} for resource in served):
            await self._look()
            served = self._held(client)
        return served

    def _held(self, client: Client) -> Sequence[Resource]:
        return [
            resource
            for resource in self._resources.all()
            if resource.workspace_id == client.workspace_id and client.client_id in resource.resource_servers
        ]
