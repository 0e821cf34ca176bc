"""`/admin/v1/resources`: the services that tokens are for, and their token policies."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, Field

from authserver.admin.description import Description
from authserver.admin.operation import Call, Operation, Verbs, nothing, shown
from authserver.admin.query import PAGE, cursor, key_of_cursor, limit_of
from authserver.administration.scopes import AdminScope
from authserver.core.resource import Resource, SigningAlg, TokenType
from authserver.resources.registration import ResourceCreate, metadata_of
from authserver.resources.verifier_config import VerifierConfiguration
from authserver.wire.answers import json_answer
from authserver.wire.http import Answer

PATH = "/admin/v1/resources"
ONE = f"{PATH}/{{resource_id}}"
TAG = "resources"


class ScopeView(BaseModel):
    """A scope of a resource."""

    name: str
    description: str
    includes: list[str]


class ResourceView(BaseModel):
    """A resource as it is shown, never with its HS256 secret. Times are seconds since the epoch."""

    resource_id: str
    workspace_id: str
    identifier: str
    name: str
    scopes: list[ScopeView]
    signing_alg: SigningAlg
    token_typ: TokenType
    access_token_ttl_seconds: int | None
    resource_servers: list[str]
    built_in: bool
    created_at: int
    updated_at: int
    version: int = Field(description="Counts the changes; also the ETag.")

    @classmethod
    def of(cls, resource: Resource, **more: Any) -> Self:
        """Show a resource; `more` fills in what a subclass adds."""
        return cls.model_validate(
            {
                **metadata_of(resource),
                "resource_id": resource.resource_id,
                "workspace_id": resource.workspace_id,
                "built_in": resource.built_in,
                "created_at": resource.created_at,
                "updated_at": resource.updated_at,
                "version": resource.version,
                **more,
            }
        )


class WrittenResourceView(ResourceView):
    """A resource after a write, with the HS256 secret if it has just got one."""

    hs256_secret: str | None = Field(default=None, repr=False, description="Shown once; null when there is no new one.")


class ResourcePage(BaseModel):
    """One page of resources, in the order of their identifiers."""

    items: list[ResourceView]
    next_after: str | None = Field(description="The `after` of the next page; null ends the list.")


async def _create(verbs: Verbs, call: Call) -> Answer:
    resource, secret = await verbs.resources.create(call.actor, call.body)
    return shown(WrittenResourceView.of(resource, hs256_secret=secret), status=201, version=resource.version)


async def _list(verbs: Verbs, call: Call) -> Answer:
    after, limit = key_of_cursor(call.query) or "", limit_of(call.query)
    everything = sorted(await verbs.resources.list(call.actor), key=lambda resource: resource.identifier)
    rest = [resource for resource in everything if resource.identifier > after]
    page = rest[:limit]
    next_after = page[-1].identifier if len(rest) > limit else None
    return shown(ResourcePage(items=[ResourceView.of(one) for one in page], next_after=cursor(next_after)))


async def _get(verbs: Verbs, call: Call) -> Answer:
    resource = await verbs.resources.get(call.actor, call.path["resource_id"])
    return shown(ResourceView.of(resource), version=resource.version)


async def _update(verbs: Verbs, call: Call) -> Answer:
    resource, secret = await verbs.resources.update(
        call.actor, call.path["resource_id"], call.body, expected_version=call.expected_version
    )
    return shown(WrittenResourceView.of(resource, hs256_secret=secret), version=resource.version)


async def _delete(verbs: Verbs, call: Call) -> Answer:
    await verbs.resources.delete(call.actor, call.path["resource_id"], expected_version=call.expected_version)
    return nothing()


async def _verifier_config(verbs: Verbs, call: Call) -> Answer:
    configuration = await verbs.verifier_configs.export(call.actor, call.path["resource_id"])
    return json_answer(configuration.document())


OPERATIONS = (
    Operation(
        description=Description(
            method="POST",
            path=PATH,
            summary="Create a resource",
            tag=TAG,
            scope=AdminScope.RESOURCES_WRITE,
            request=ResourceCreate,
            response=WrittenResourceView,
            status=201,
        ),
        handler=_create,
    ),
    Operation(
        description=Description(
            method="GET",
            path=PATH,
            summary="List resources",
            tag=TAG,
            scope=AdminScope.RESOURCES_READ,
            response=ResourcePage,
            query=PAGE,
        ),
        handler=_list,
    ),
    Operation(
        description=Description(
            method="GET",
            path=ONE,
            summary="Show a resource",
            tag=TAG,
            scope=AdminScope.RESOURCES_READ,
            response=ResourceView,
        ),
        handler=_get,
    ),
    Operation(
        description=Description(
            method="PATCH",
            path=ONE,
            summary="Change a resource",
            tag=TAG,
            scope=AdminScope.RESOURCES_WRITE,
            request=ResourceCreate,
            patch=True,
            response=WrittenResourceView,
            conditional=True,
        ),
        handler=_update,
    ),
    Operation(
        description=Description(
            method="DELETE",
            path=ONE,
            summary="Delete a resource with its templates and keys",
            tag=TAG,
            scope=AdminScope.RESOURCES_WRITE,
            status=204,
            conditional=True,
        ),
        handler=_delete,
    ),
    Operation(
        description=Description(
            method="GET",
            path=f"{ONE}/verifier-config",
            summary="Show what its services need to check tokens; with secrets for HS256, which needs `keys:write` too",
            tag=TAG,
            scope=AdminScope.RESOURCES_READ,
            response=VerifierConfiguration,
        ),
        handler=_verifier_config,
    ),
)
