"""Judging a token for a proxy that stands before a resource (RFC 6750, RFC 9068 §4)."""

from __future__ import annotations

from authserver.core.access_token import AccessToken
from authserver.core.errors import AccessDenied, InvalidScope, InvalidToken
from authserver.core.identifiers import ADMIN_RESOURCE
from authserver.core.identity import Identity
from authserver.core.scope import Inclusion, Scopes, expand, parse_scope
from authserver.resources.catalog import ResourceCatalog
from authserver.tokens.standing import TokenStanding


class ForwardedTokenCheck:
    """Judges tokens as introspection does, for the one resource that a proxy protects."""

    def __init__(self, *, standing: TokenStanding, resources: ResourceCatalog) -> None:
        """Judge by `standing`; audiences and what their scopes include are in `resources`."""
        self._standing = standing
        self._resources = resources

    async def __call__(self, token: str, resource: str | None) -> Identity:
        """Return who presents a token for `resource`, None for the only one that is registered.

        Raises InvalidToken, AccessDenied when the proxy does not say which resource it protects and there are several,
        or protects the management API, and TemporarilyUnavailable when revocations may be missed.
        """
        access = await self._standing.read(token)
        inclusion = self._inclusion(access, resource)
        client = await self._standing.require_good(access)
        if client.workspace_id != access.workspace_id:
            raise InvalidToken("the client belongs to another workspace")
        return Identity(
            client_id=access.client_id,
            subject=access.subject,
            workspace_id=access.workspace_id,
            scope=access.scope,
            scopes=expand(_scopes(access), inclusion),
            claims=access.claims,
        )

    def _inclusion(self, access: AccessToken, resource: str | None) -> Inclusion:
        """Return the order of scopes of the audience, once the token is found to be meant for it."""
        identifier = self._only_resource(access.workspace_id) if resource is None else resource
        policy = self._resources.policy(access.workspace_id, identifier)
        if identifier == ADMIN_RESOURCE or (policy is not None and policy.resource.built_in):
            raise AccessDenied("the management API is not protected by forward-auth: it judges its callers itself")
        if identifier not in access.audience:
            raise InvalidToken("the token is for another audience")
        return policy.inclusion if policy is not None else {}

    def _only_resource(self, workspace_id: str) -> str:
        registered = [
            resource.identifier
            for resource in self._resources.all()
            if resource.workspace_id == workspace_id and not resource.built_in
        ]
        if len(registered) != 1:
            known = "several resources are" if registered else "no resource is"
            raise AccessDenied(f"{known} registered: say ?resource= and the identifier of the one behind the proxy")
        return registered[0]


def _scopes(access: AccessToken) -> Scopes:
    try:
        return parse_scope(access.scope)
    except InvalidScope as error:  # the holder of an HS256 secret may write anything
        raise InvalidToken(f"its {error.reason}") from None
