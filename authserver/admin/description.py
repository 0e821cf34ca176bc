"""What a caller must know of one operation, as data: the routes and the OpenAPI document are made of it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from authserver.administration.scopes import AdminScope

JSON_MEDIA_TYPE = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryParameter:
    """A parameter of the query string; any other is refused."""

    name: str
    description: str
    integer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One operation: `path` in OpenAPI's form, the models of request and response, and who may call it.

    `scope` is None for operations outside of the management API; `security` names a scheme of `openapi.py`,
    None for what anybody may call. `response` None means that a success has no body, or one that is not JSON
    (`response_media_type` says which). `patch` marks a merge patch (RFC 7396) of the request model: nothing
    is required and null restores the default.
    """

    method: str
    path: str
    summary: str
    tag: str
    scope: AdminScope | None = None
    security: str | None = "adminToken"
    request: type[BaseModel] | None = None
    request_media_type: str = JSON_MEDIA_TYPE
    patch: bool = False
    response: type[BaseModel] | None = None
    response_media_type: str = JSON_MEDIA_TYPE
    status: int = 200
    query: tuple[QueryParameter, ...] = ()
    conditional: bool = False
