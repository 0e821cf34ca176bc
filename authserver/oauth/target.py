"""Which audience a token is for (RFC 8707 §2) and which scope it carries (RFC 6749 §3.3)."""

from __future__ import annotations

from authserver.core.client import Client
from authserver.core.errors import InvalidScope, InvalidTarget
from authserver.core.resource import Resource
from authserver.core.scope import Inclusion, Scopes, expand, parse_scope


def choose_audience(client: Client, requested: tuple[str, ...], *, default: str) -> str:
    """Return the one audience of the token.

    `requested` are the values of `resource`; without any, it is the client's default audience, its first
    one, or the server's `default` for a client that has none. Raises InvalidTarget when the client may not name
    what it named, or named two: a token that several services accept could be replayed between them (RFC 9700 §2.3).
    """
    if not requested:
        return client.default_audience or (client.audiences[0] if client.audiences else default)
    if len(set(requested)) > 1:
        raise InvalidTarget("more than one resource in a request")
    if requested[0] not in (client.audiences or (default,)):
        raise InvalidTarget("the resource is malformed, or not allowed to this client")
    return requested[0]


def choose_scope(client: Client, requested: str | None, *, resource: Resource | None, inclusion: Inclusion) -> Scopes:
    """Return the scope to grant: what was asked for, or the client's default set, never silently less.

    A registered resource with scopes of its own allows only those; without, the client's registration alone
    decides. Raises InvalidScope when the request exceeds the grant (RFC 6749 §5.2).
    """
    known = frozenset(scope.name for scope in resource.scopes) if resource and resource.scopes else None
    granted = expand(client.scope, inclusion)
    if known is not None:
        granted &= known
    if requested is None:
        default = client.scope if client.default_scope is None else client.default_scope
        return tuple(name for name in default if name in granted)
    names = parse_scope(requested)
    if not granted.issuperset(names):
        raise InvalidScope("the scope exceeds what the client was granted for this resource")
    return names
