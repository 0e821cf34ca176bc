"""Who asks, and what they may do: nobody can grant what they do not have themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from authserver.administration.scopes import ADMIN_INCLUSION, AdminScope
from authserver.core.client import Client
from authserver.core.errors import InsufficientScope
from authserver.core.identifiers import ADMIN_RESOURCE, DEFAULT_WORKSPACE
from authserver.core.resource import Resource
from authserver.core.scope import Inclusion, expand

_NO_INCLUSION: Inclusion = {}
_NO_AUDIENCE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """An administrator. `scopes` None is the admin token or the command line: everything is allowed.

    A `client` that administers holds the scopes of its access token, and may touch only clients that
    are no stronger than itself.
    """

    name: str
    scopes: frozenset[str] | None = None
    client: Client | None = None
    workspace_id: str = DEFAULT_WORKSPACE

    def require(self, scope: AdminScope) -> None:
        """Raise InsufficientScope unless the token carries `scope` or one that includes it."""
        if self.scopes is not None and scope.value not in expand(self.scopes, ADMIN_INCLUSION):
            raise InsufficientScope(f"{self.name} lacks {scope}")

    def require_dominates(self, target: Client, resources: Mapping[str, Resource]) -> None:
        """Raise InsufficientScope when `target` can do something that the actor cannot.

        `resources` are those of the workspace by identifier. Asked of a client before *and* after a
        change: otherwise one could take a stronger client over, or promote oneself.
        """
        if self.scopes is None:
            return
        own = self.client
        if own is None:
            raise InsufficientScope(f"{self.name} is no client, so it dominates none")
        if not set(target.audiences) <= set(own.audiences):
            raise InsufficientScope(f"{self.name} lacks an audience of {target.client_id}")
        for audience in target.audiences or (_NO_AUDIENCE,):
            resource = resources.get(audience)
            held = expand(own.scope, resource.inclusion() if resource else _NO_INCLUSION)
            if audience == ADMIN_RESOURCE:
                held = _held_as_administrator(own.scope, self.scopes)
            if not set(target.scope) <= held:
                raise InsufficientScope(f"{self.name} lacks a scope of {target.client_id}")
        if not _served(target, resources) <= _served(own, resources):
            raise InsufficientScope(f"{target.client_id} is a resource server where {self.name} is not")


def _held_as_administrator(own: Iterable[str], token: Iterable[str]) -> frozenset[str]:
    """Return what an actor holds at the management API: there the token counts, which may carry less than its client.

    Names that mean nothing to the management API are as harmless there as they are to the client.
    """
    return expand(token, ADMIN_INCLUSION) | (frozenset(own) - frozenset(ADMIN_INCLUSION))


def _served(client: Client, resources: Mapping[str, Resource]) -> set[str]:
    return {name for name, resource in resources.items() if client.client_id in resource.resource_servers}
