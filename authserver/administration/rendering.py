"""What a template makes of a client, without issuing a token."""

from __future__ import annotations

from collections.abc import Mapping

from authserver.claims.catalog import TemplateCatalog
from authserver.claims.context import client_values
from authserver.claims.errors import ClaimsTooLarge
from authserver.claims.template import ClaimsTemplate
from authserver.core.client import Client
from authserver.core.clock import Clock, seconds
from authserver.core.errors import InvalidRequest, ValidationFailed
from authserver.core.identifiers import new_token_id
from authserver.core.json_value import Json
from authserver.core.scope import format_scope
from authserver.resources.catalog import ResourceCatalog

_PREVIEW_TTL_SECONDS = 3600


class ClaimsPreview:
    """Renders the templates in force, or one that is not saved yet, against a real client."""

    def __init__(self, *, templates: TemplateCatalog, resources: ResourceCatalog, issuer: str, clock: Clock) -> None:
        """Look templates and resources up in memory; `issuer` and `clock` fill in the token's own values."""
        self._templates = templates
        self._resources = resources
        self._issuer = issuer
        self._clock = clock

    def in_force(self, workspace_id: str, identifier: str | None) -> ClaimsTemplate | None:
        """Return the template that a token for this resource gets; raise InvalidRequest when it is broken."""
        resource = None if identifier is None else self._resources.by_identifier(workspace_id, identifier)
        return self._templates.for_token(workspace_id, resource.resource_id if resource else None)

    def claims(
        self, template: ClaimsTemplate, client: Client, audience: str | None, sent: Mapping[str, Json]
    ) -> dict[str, Json]:
        """Return the claims of one token; `sent` are the caller's own parameters. Raises InvalidRequest."""
        return template.render(
            {
                "client": client_values(client),
                "workspace": {"workspace_id": client.workspace_id, "name": client.workspace_id},
                "token": self._token_values(client, audience),
                "request": sent,
            }
        )

    def check_size(self, client: Client) -> None:
        """Raise ValidationFailed when a template in force renders more than a token may carry (CLM-06).

        Whatever else would fail is left to the time of issue, when the caller's parameters are known.
        """
        for audience in (None, *client.audiences):
            try:
                template = self.in_force(client.workspace_id, audience)
                if template is not None:
                    self.claims(template, client, audience, {})
            except ClaimsTooLarge as error:
                raise ValidationFailed.of("trusted_metadata", f"its claims template fails: {error.reason}") from None
            except InvalidRequest:
                continue

    def _token_values(self, client: Client, audience: str | None) -> dict[str, Json]:
        now_ms = self._clock()
        scope = client.scope if client.default_scope is None else client.default_scope
        return {
            "iss": self._issuer,
            "sub": client.client_id,
            "client_id": client.client_id,
            "aud": audience or client.default_audience or next(iter(client.audiences), self._issuer),
            "scope": format_scope(scope),
            "iat": seconds(now_ms),
            "exp": seconds(now_ms) + (client.access_token_ttl_seconds or _PREVIEW_TTL_SECONDS),
            "jti": new_token_id(now_ms),
            "credential_id": next((secret.credential_id for secret in client.secrets), ""),
            "workspace_id": client.workspace_id,
        }
