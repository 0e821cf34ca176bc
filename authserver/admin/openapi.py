"""The OpenAPI 3.1 document, generated from the descriptions and models that the server itself uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from authserver.admin.description import Description, QueryParameter
from authserver.core.json_value import Json

_REF = "#/components/schemas/{model}"
_PATH_PARAMETER = re.compile(r"{(\w+)}")

_PROBLEM_SCHEMA: Mapping[str, Json] = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "error", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "error": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "problem"],
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    },
}

_SECURITY_SCHEMES: Mapping[str, Json] = {
    "adminToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The admin token, or an access token for the management API with the scope named.",
    },
    "clientBasic": {"type": "http", "scheme": "basic", "description": "Client id and secret (RFC 6749 §2.3.1)."},
    "accessToken": {"type": "http", "scheme": "bearer", "description": "An access token (RFC 6750)."},
}


def openapi_document(
    descriptions: Iterable[Description],
    *,
    issuer: str,
    version: str,
    more_paths: Mapping[str, Mapping[str, Json]] | None = None,
) -> dict[str, Json]:
    """Return the document for `descriptions`; `more_paths` are added as they are, in OpenAPI's own form."""
    known = list(descriptions)
    models, schemas = _schemas(known)
    for description in known:
        if description.patch and description.request is not None:
            schemas[_patch_name(description.request)] = _patch_schema(schemas[description.request.__name__])
    schemas["Problem"] = _PROBLEM_SCHEMA
    paths: dict[str, dict[str, Json]] = {}
    for description in known:
        paths.setdefault(description.path, {})[description.method.lower()] = _operation(description, models)
    for path, item in (more_paths or {}).items():
        paths.setdefault(path, {}).update(item)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "authserver",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": issuer}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": dict(_SECURITY_SCHEMES)},
    }


def _schemas(descriptions: Iterable[Description]) -> tuple[Mapping[Any, Json], dict[str, Json]]:
    """Return the reference of each model in its use, and all schemas by name."""
    used: dict[tuple[type[BaseModel], Any], None] = {}
    for description in descriptions:
        if description.request is not None:
            used[description.request, "validation"] = None
        if description.response is not None:
            used[description.response, "serialization"] = None
    references, document = models_json_schema(list(used), ref_template=_REF)
    return references, dict(document.get("$defs", {}))


def _operation(description: Description, models: Mapping[Any, Json]) -> dict[str, Json]:
    operation: dict[str, Json] = {
        "summary": description.summary,
        "tags": [description.tag],
        "operationId": _operation_id(description),
        "parameters": [*_path_parameters(description), *map(_query_parameter, description.query)],
        "responses": _responses(description, models),
        "security": [{description.security: []}] if description.security else [],
    }
    if description.scope is not None:
        operation["description"] = f"Needs the scope `{description.scope.value}`."
    if description.conditional:
        operation["parameters"].append(
            {"name": "If-Match", "in": "header", "schema": {"type": "string"}, "description": "The ETag last seen."}
        )
    if description.request is not None:
        operation["requestBody"] = _request_body(description, models)
    return operation


def _request_body(description: Description, models: Mapping[Any, Json]) -> dict[str, Json]:
    model = description.request
    if model is None:
        return {}
    if description.patch:
        schema = {"$ref": _REF.format(model=_patch_name(model))}
        media_types = [description.request_media_type, "application/merge-patch+json"]
    else:
        schema = models[model, "validation"]
        media_types = [description.request_media_type]
    required = not description.patch and any(field.is_required() for field in model.model_fields.values())
    return {"required": required, "content": {media_type: {"schema": schema} for media_type in media_types}}


def _responses(description: Description, models: Mapping[Any, Json]) -> dict[str, Json]:
    success: dict[str, Json] = {"description": "Done."}
    if description.response is not None:
        schema = models[description.response, "serialization"]
        success["content"] = {description.response_media_type: {"schema": schema}}
    elif description.response_media_type != "application/json":
        success["content"] = {description.response_media_type: {"schema": {"type": "string"}}}
    problem = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}
    failure = {"description": "Refused, and why.", "content": problem}
    return {str(description.status): success, **({"default": failure} if description.scope else {})}


def _operation_id(description: Description) -> str:
    words = re.findall(r"[A-Za-z0-9]+", description.path.removeprefix("/admin/v1"))
    return "_".join([description.method.lower(), *words])


def _path_parameters(description: Description) -> list[dict[str, Json]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(description.path)
    ]


def _query_parameter(parameter: QueryParameter) -> dict[str, Json]:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": {"type": "integer" if parameter.integer else "string"},
    }


def _patch_name(model: type[BaseModel]) -> str:
    return f"{model.__name__}Patch"


def _patch_schema(schema: Mapping[str, Json]) -> dict[str, Json]:
    """Return the schema of a merge patch (RFC 7396): nothing is required, null restores the default."""
    properties = {
        name: {"anyOf": [{k: v for k, v in field.items() if k != "default"}, {"type": "null"}]}
        for name, field in schema["properties"].items()
    }
    return {**{k: v for k, v in schema.items() if k != "required"}, "properties": properties}
