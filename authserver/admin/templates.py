"""`/admin/v1/claims-template`: the workspace's template, or with `resource` that of one resource."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from authserver.admin.description import Description, QueryParameter
from authserver.admin.operation import Call, Operation, Verbs, nothing, shown
from authserver.administration.scopes import AdminScope
from authserver.administration.validation import validated
from authserver.core.claims_template import StoredTemplate
from authserver.core.errors import ValidationFailed
from authserver.wire.http import Answer

PATH = "/admin/v1/claims-template"
TAG = "claims templates"

_QUERY = (QueryParameter(name="resource", description="Identifier of the resource whose own template is meant."),)
_VERSION_LIMIT = 2**31


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class TemplateForm(_Form):
    """A template to save."""

    template: str = Field(description="A JSON object with `{{ path }}` in it.")
    resource: str | None = Field(default=None, description="Identifier of a resource that gets a template of its own.")


class PreviewForm(_Form):
    """A template to try on a client, without issuing a token."""

    client_id: str
    template: str | None = Field(default=None, description="Left out: the template in force.")
    resource: str | None = Field(default=None, description="Identifier of the resource that the token is for.")
    request: dict[str, Any] = Field(default={}, description="Values of `request.*`, as a caller would send them.")


class RestoreForm(_Form):
    """An earlier version to save anew."""

    version: int = Field(ge=1, lt=_VERSION_LIMIT)
    resource: str | None = None


class TemplateView(BaseModel):
    """One version of a template; `template` null says that this version removed it."""

    template: str | None
    resource: str | None
    version: int
    created_at: int = Field(description="Seconds since the epoch.")

    @classmethod
    def of(cls, stored: StoredTemplate, resource: str | None) -> Self:
        """Show a stored template."""
        return cls(template=stored.source, resource=resource, version=stored.version, created_at=stored.created_at)


class TemplateHistory(BaseModel):
    """All versions, newest first."""

    items: list[TemplateView]


class Preview(BaseModel):
    """What the template adds to a token."""

    claims: dict[str, Any]


def _resource_of(call: Call, in_body: str | None = None) -> str | None:
    """Return the resource named in the query or the body; raise ValidationFailed when they differ."""
    in_query = call.query.get("resource")
    if in_query is not None and in_body is not None and in_query != in_body:
        raise ValidationFailed.of("resource", "differs in query and body")
    return in_body if in_query is None else in_query


async def _get(verbs: Verbs, call: Call) -> Answer:
    resource = _resource_of(call)
    stored = await verbs.templates.get(call.actor, resource)
    return shown(TemplateView.of(stored, resource), version=stored.version)


async def _put(verbs: Verbs, call: Call) -> Answer:
    form = validated(TemplateForm, call.body)
    resource = _resource_of(call, form.resource)
    stored = await verbs.templates.save(call.actor, form.template, resource, expected_version=call.expected_version)
    return shown(TemplateView.of(stored, resource), version=stored.version)


async def _delete(verbs: Verbs, call: Call) -> Answer:
    await verbs.templates.remove(call.actor, _resource_of(call), expected_version=call.expected_version)
    return nothing()


async def _history(verbs: Verbs, call: Call) -> Answer:
    resource = _resource_of(call)
    versions = await verbs.templates.history(call.actor, resource)
    return shown(TemplateHistory(items=[TemplateView.of(stored, resource) for stored in versions]))


async def _restore(verbs: Verbs, call: Call) -> Answer:
    form = validated(RestoreForm, call.body)
    resource = _resource_of(call, form.resource)
    stored = await verbs.templates.restore(call.actor, form.version, resource)
    return shown(TemplateView.of(stored, resource), version=stored.version)


async def _preview(verbs: Verbs, call: Call) -> Answer:
    form = validated(PreviewForm, call.body)
    claims = await verbs.templates.preview(
        call.actor,
        form.client_id,
        source=form.template,
        resource=_resource_of(call, form.resource),
        sent=form.request,
    )
    return shown(Preview(claims=claims))


OPERATIONS = (
    Operation(
        description=Description(
            method="GET",
            path=PATH,
            summary="Show the claims template",
            tag=TAG,
            scope=AdminScope.CLAIMS_READ,
            response=TemplateView,
            query=_QUERY,
        ),
        handler=_get,
    ),
    Operation(
        description=Description(
            method="PUT",
            path=PATH,
            summary="Save the claims template, if it compiles",
            tag=TAG,
            scope=AdminScope.CLAIMS_WRITE,
            request=TemplateForm,
            response=TemplateView,
            query=_QUERY,
            conditional=True,
        ),
        handler=_put,
    ),
    Operation(
        description=Description(
            method="DELETE",
            path=PATH,
            summary="Remove the claims template; its versions stay",
            tag=TAG,
            scope=AdminScope.CLAIMS_WRITE,
            status=204,
            query=_QUERY,
            conditional=True,
        ),
        handler=_delete,
    ),
    Operation(
        description=Description(
            method="GET",
            path=f"{PATH}/history",
            summary="List all versions, newest first",
            tag=TAG,
            scope=AdminScope.CLAIMS_READ,
            response=TemplateHistory,
            query=_QUERY,
        ),
        handler=_history,
    ),
    Operation(
        description=Description(
            method="POST",
            path=f"{PATH}/restore",
            summary="Save an earlier version anew",
            tag=TAG,
            scope=AdminScope.CLAIMS_WRITE,
            request=RestoreForm,
            response=TemplateView,
            query=_QUERY,
        ),
        handler=_restore,
    ),
    Operation(
        description=Description(
            method="POST",
            path=f"{PATH}/preview",
            summary="Show what a template makes of a client, without issuing a token",
            tag=TAG,
            scope=AdminScope.CLAIMS_READ,
            request=PreviewForm,
            response=Preview,
            query=_QUERY,
        ),
        handler=_preview,
    ),
)
