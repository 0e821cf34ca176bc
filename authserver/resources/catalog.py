"""All resources in memory: there are few, and each token request asks for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from authserver.core.ports import ResourceStore
from authserver.core.resource import Resource
from authserver.core.scope import Inclusion


@dataclass(frozen=True, slots=True)
class ResourcePolicy:
    """A resource with its order of scopes, worked out once."""

    resource: Resource
    inclusion: Inclusion


class ResourceCatalog:
    """The resources as last loaded; lookups are synchronous and cost one dict access.

    A load that fails leaves what was known: stale is better than a guess, and writes are checked elsewhere.
    """

    def __init__(self, *, store: ResourceStore) -> None:
        """Start empty; `load` fills it."""
        self._store = store
        self._by_identifier: dict[tuple[str, str], ResourcePolicy] = {}
        self._by_id: dict[str, ResourcePolicy] = {}

    async def load(self) -> None:
        """Read every resource again; raise TemporarilyUnavailable and keep the old ones when the store fails."""
        policies = [ResourcePolicy(resource, resource.inclusion()) for resource in await self._store.all()]
        self._by_identifier = {(p.resource.workspace_id, p.resource.identifier): p for p in policies}
        self._by_id = {p.resource.resource_id: p for p in policies}

    def policy(self, workspace_id: str, identifier: str) -> ResourcePolicy | None:
        """Return the resource with this identifier and its order of scopes."""
        return self._by_identifier.get((workspace_id, identifier))

    def by_identifier(self, workspace_id: str, identifier: str) -> Resource | None:
        """Return the resource with exactly this identifier, simple string comparison (RFC 3986 §6.2.1)."""
        policy = self._by_identifier.get((workspace_id, identifier))
        return policy.resource if policy else None

    def by_id(self, resource_id: str) -> Resource | None:
        """Return the resource with this id."""
        policy = self._by_id.get(resource_id)
        return policy.resource if policy else None

    def all(self) -> Sequence[Resource]:
        """Return every resource, in the order of the store."""
        return [policy.resource for policy in self._by_id.values()]
