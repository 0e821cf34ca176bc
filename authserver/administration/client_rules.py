"""The one validator of clients: a create, an import, an update and the command line all pass here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from authserver.administration.actor import Actor
from authserver.administration.rendering import ClaimsPreview
from authserver.administration.validation import validated
from authserver.claims.metadata import validate_trusted_metadata
from authserver.clients.registration import ClientMetadata
from authserver.core.client import Client
from authserver.core.errors import FieldProblem, ValidationFailed
from authserver.core.json_value import Json
from authserver.core.ports import ResourceStore
from authserver.resources.identifier import check_identifier

FormT = TypeVar("FormT", bound=ClientMetadata)


class ClientRules:
    """What holds for every client, whoever writes it."""

    def __init__(self, *, resources: ResourceStore, preview: ClaimsPreview, max_ttl_seconds: int) -> None:
        """`max_ttl_seconds` is the longest lifetime that anybody may configure."""
        self._resources = resources
        self._preview = preview
        self._max_ttl_seconds = max_ttl_seconds

    def read(self, model: type[FormT], document: Mapping[str, Json]) -> FormT:
        """Return the validated document; raise ValidationFailed naming the fields at fault."""
        form = validated(model, document)
        validate_trusted_metadata(form.trusted_metadata)
        problems = [*_audience_problems(form.audiences), *self._ttl_problems(form.access_token_ttl_seconds)]
        if problems:
            raise ValidationFailed(*problems)
        return form

    async def check_grantable(self, actor: Actor, client: Client) -> None:
        """Raise InsufficientScope when the client can do something that the actor cannot (ADM-03)."""
        if actor.scopes is None:
            return
        resources = await self._resources.all()
        actor.require_dominates(client, {r.identifier: r for r in resources if r.workspace_id == client.workspace_id})

    def check_rendered(self, client: Client) -> None:
        """Raise ValidationFailed when a template in force makes too much of the client's metadata (CLM-06)."""
        self._preview.check_size(client)

    def _ttl_problems(self, ttl_seconds: int | None) -> Iterator[FieldProblem]:
        if ttl_seconds is not None and ttl_seconds > self._max_ttl_seconds:
            yield FieldProblem("access_token_ttl_seconds", f"is more than this server's {self._max_ttl_seconds}")


def _audience_problems(audiences: list[str]) -> Iterator[FieldProblem]:
    for position, audience in enumerate(audiences):
        try:
            check_identifier(audience)
        except ValueError as error:
            yield FieldProblem(f"audiences.{position}", str(error))
