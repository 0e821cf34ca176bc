"""What is allowed, and seldom meant: said on stderr after a command that has done its work. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from authserver.core.client import Client
from authserver.core.resource import Resource
from authserver.core.scope import Scopes


def of_client(client: Client, resources: Sequence[Resource]) -> Iterator[str]:
    """Judge a client's audiences and scopes by the `resources` of its workspace."""
    yield from _commas(client.scope)
    known = {resource.identifier: resource for resource in resources}
    for audience in client.audiences:
        if audience not in known:
            yield f"{audience} is no registered resource"
    named = [known[audience] for audience in client.audiences if audience in known]
    if named and len(named) == len(client.audiences) and all(resource.scopes for resource in named):
        yield from _unknown(client.scope, named)


def of_dropped_servers(before: Resource, now: Resource) -> Iterator[str]:
    """Tell of resource servers that are none any more: their next question for the feed is refused."""
    for client_id in before.resource_servers:
        if client_id not in now.resource_servers:
            yield f"'{client_id}' is no resource server any more; to keep it, name it as well: --server {client_id}"


def of_resource(resource: Resource) -> Iterator[str]:
    """Judge the names of a resource's scopes."""
    yield from _commas(scope.name for scope in resource.scopes)


def _commas(names: Iterable[str]) -> Iterator[str]:
    """Tell of names with a comma, which RFC 6749 §3.3 allows."""
    for name in names:
        if "," in name:
            yield f"'{name}' is one scope, with a comma in its name; a space separates scopes"


def _unknown(scopes: Scopes, resources: Sequence[Resource]) -> Iterator[str]:
    """Tell of scopes that no audience knows; one without scopes of its own leaves them to its clients."""
    names = list(dict.fromkeys(scope.name for resource in resources for scope in resource.scopes))
    audiences = ", ".join(resource.identifier for resource in resources)
    for name in scopes:
        if name in names:
            continue
        if len(resources) == 1:
            yield f"{audiences} has no scope '{name}' (it has {', '.join(names)})"
        else:
            yield f"none of {audiences} has a scope '{name}' (they have {', '.join(names)})"
