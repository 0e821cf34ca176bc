"""Issuing an access token (RFC 6749 §4.4, RFC 9068): load, decide, render, sign. Nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authserver.claims.catalog import TemplateCatalog
from authserver.claims.context import client_values
from authserver.claims.template import ClaimsTemplate
from authserver.clients.authentication import Authenticated
from authserver.core.client import Client
from authserver.core.clock import Clock, seconds
from authserver.core.credentials import Credentials
from authserver.core.errors import InvalidTarget
from authserver.core.identifiers import ADMIN_RESOURCE, new_token_id
from authserver.core.json_value import Json
from authserver.core.resource import Resource, SigningAlg, TokenType
from authserver.core.scope import NO_INCLUSION, format_scope
from authserver.keys.ring import KeyRing
from authserver.oauth.decision import Loaded
from authserver.oauth.kept import KeptDecisions
from authserver.oauth.target import choose_audience
from authserver.resources.catalog import ResourceCatalog
from authserver.tokens.authenticate import ClientDoor


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A token request, read once. `parameters` is the whole form, for templates that declare some of it."""

    credentials: Credentials
    grant_type: str
    scope: str | None
    resources: tuple[str, ...]
    parameters: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """What the client gets, and what the log may know of it."""

    access_token: str = field(repr=False)
    expires_in: int
    scope: str
    jti: str
    client_id: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDefaults:
    """What holds for an audience that is not registered as a resource, and the limits for all."""

    issuer: str
    audience: str
    ttl_seconds: int
    max_ttl_seconds: int
    signing_alg: SigningAlg


class TokenIssuer:
    """Issues access tokens to authenticated clients."""

    def __init__(
        self,
        *,
        door: ClientDoor,
        resources: ResourceCatalog,
        templates: TemplateCatalog,
        keys: KeyRing,
        clock: Clock,
        defaults: TokenDefaults,
        workspace_names: Mapping[str, str],
    ) -> None:
        """Everything that a request needs is held in memory by these capabilities."""
        self._door = door
        self._resources = resources
        self._templates = templates
        self._keys = keys
        self._clock = clock
        self._defaults = defaults
        self._workspace_names = workspace_names
        self._decisions = KeptDecisions()

    async def issue(self, request: TokenRequest) -> IssuedToken:
        """Return a token for an honest request; raise an error of RFC 6749 §5.2 or RFC 8707 §2 for any other."""
        # 1 load
        authenticated = await self._door.admit(request.credentials)
        client = authenticated.client
        audience = choose_audience(client, request.resources, default=self._defaults.audience)
        policy = self._resources.policy(client.workspace_id, audience)
        resource = policy.resource if policy else None
        if resource is None and audience == ADMIN_RESOURCE:
            raise InvalidTarget("the management API belongs to another workspace")
        # 2 decide
        loaded = Loaded(client=client, resource=resource, inclusion=policy.inclusion if policy else NO_INCLUSION)
        decision = self._decisions.decide(request.grant_type, request.scope, loaded)
        # 3 render: registered claims are put in last and win
        registered = self._registered(authenticated, audience, resource, format_scope(decision.scope))
        template = self._templates.for_token(client.workspace_id, resource.resource_id if resource else None)
        claims = self._render(template, client, registered, request.parameters)
        claims.update(registered)
        # 4 sign
        signer = self._keys.signer_for(
            workspace_id=client.workspace_id,
            alg=resource.signing_alg if resource else self._defaults.signing_alg,
            resource_id=resource.resource_id if resource else None,
        )
        return IssuedToken(
            access_token=signer.sign(claims, resource.token_typ if resource else TokenType.AT_JWT),
            expires_in=registered["exp"] - registered["iat"],
            scope=registered.get("scope", ""),
            jti=registered["jti"],
            client_id=client.client_id,
            audience=audience,
        )

    def _registered(
        self, authenticated: Authenticated, audience: str, resource: Resource | None, scope: str
    ) -> dict[str, Any]:
        """Return the claims that only the server sets (RFC 9068 §2.2), with workspace and credential."""
        client = authenticated.client
        now_ms = self._clock()
        issued_at = seconds(now_ms)
        claims: dict[str, Any] = {
            "iss": self._defaults.issuer,
            "sub": client.client_id,
            "aud": audience,
            "client_id": client.client_id,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + self._lifetime_seconds(client, resource),
            "jti": new_token_id(now_ms),
            "workspace_id": client.workspace_id,
            "credential_id": authenticated.credential_id,
        }
        if scope:
            claims["scope"] = scope
        return claims

    def _lifetime_seconds(self, client: Client, resource: Resource | None) -> int:
        """Return the shorter of what client and resource say, or the server's default; never above its limit."""
        said = [client.access_token_ttl_seconds, resource.access_token_ttl_seconds if resource else None]
        configured = [ttl for ttl in said if ttl is not None]
        return min(*configured, self._defaults.max_ttl_seconds) if configured else self._defaults.ttl_seconds

    def _render(
        self,
        template: ClaimsTemplate | None,
        client: Client,
        registered: Mapping[str, Json],
        parameters: Mapping[str, str],
    ) -> dict[str, Json]:
        if template is None:
            return {}
        workspace = {
            "workspace_id": client.workspace_id,
            "name": self._workspace_names.get(client.workspace_id, client.workspace_id),
        }
        return template.render(
            {"client": client_values(client), "workspace": workspace, "token": registered, "request": parameters}
        )
