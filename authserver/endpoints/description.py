"""The OAuth endpoints in OpenAPI's own form, from pydantic models of what they read and answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from authserver.core.revocation import RevocationKind
from authserver.endpoints.metadata import (
    INTROSPECTION_PATH,
    JWKS_PATH,
    REVOCATION_PATH,
    REVOCATIONS_PATH,
    TOKEN_PATH,
)

_FORM = "application/x-www-form-urlencoded"


class _ClientForm(BaseModel):
    """Credentials in the body, for clients registered with `client_secret_post`; others send Basic."""

    client_id: str | None = None
    client_secret: str | None = None


class TokenForm(_ClientForm):
    """A token request (RFC 6749 §4.4.2, RFC 8707 §2)."""

    model_config = ConfigDict(extra="allow")

    grant_type: Literal["client_credentials"]
    scope: Annotated[str | None, Field(description="Scopes with a space between; omitted: the client's default.")] = (
        None
    )
    resource: Annotated[str | None, Field(description="The audience; omitted: the client's default.")] = None


class OneTokenForm(_ClientForm):
    """A token to introspect or to revoke (RFC 7662 §2.1, RFC 7009 §2.1)."""

    token: str
    token_type_hint: str | None = None


class TokenResponse(BaseModel):
    """A token (RFC 6749 §5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Field(description="Seconds.")]
    scope: str | None = None


class IntrospectionResponse(BaseModel):
    """What a token says (RFC 7662 §2.2); `active` false comes alone."""

    model_config = ConfigDict(extra="allow")

    active: bool


class RevocationEntry(BaseModel):
    """One revocation: a token by `jti`, or all that carry `value` and were issued until `revoked_at_ms`."""

    kind: RevocationKind
    value: str
    revoked_at_ms: Annotated[int, Field(description="Milliseconds since the epoch.")]
    expires_at: Annotated[int, Field(description="When it may be forgotten, in seconds since the epoch.")]


class FeedResponse(BaseModel):
    """A page of the revocation feed."""

    cursor: Annotated[str, Field(description="The value of `after` for the next call.")]
    epoch: str
    as_of: Annotated[float, Field(description="All until then is known, seconds since the epoch.")]
    snapshot: Annotated[bool, Field(description="Forget what you had: this is the beginning of everything.")]
    more: Annotated[bool, Field(description="There is more to read at once.")]
    entries: list[RevocationEntry]


class ErrorResponse(BaseModel):
    """Why not (RFC 6749 §5.2)."""

    error: str
    error_description: str
    request_id: str


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": _schema(model)}}


def _post(summary: str, form: type[BaseModel], answer: type[BaseModel] | None) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Done."} | ({"content": _json(answer)} if answer else {})
    return {
        "post": {
            "summary": summary,
            "tags": ["oauth"],
            "security": [{"clientBasic": []}, {}],
            "requestBody": {"required": True, "content": {_FORM: {"schema": _schema(form)}}},
            "responses": {
                "200": success,
                "default": {"description": "Refused, and why.", "content": _json(ErrorResponse)},
            },
        }
    }


def _get(summary: str, tag: str, media_type: str = "application/json") -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "object" if "json" in media_type else "string"}}}
    return {
        "get": {
            "summary": summary,
            "tags": [tag],
            "security": [],
            "responses": {"200": {"description": "Done.", "content": content}},
        }
    }


def _feed() -> dict[str, Any]:
    operation = _get("Follow the revocations, for resource servers", "oauth")["get"]
    parameters = [
        {"name": "after", "in": "query", "schema": {"type": "string"}, "description": "The cursor of the last answer."},
        {"name": "wait", "in": "query", "schema": {"type": "integer"}, "description": "Seconds to wait for news."},
    ]
    success = {"description": "What came after the cursor.", "content": _json(FeedResponse)}
    return {
        "get": {
            **operation,
            "security": [{"clientBasic": []}],
            "parameters": parameters,
            "responses": {"200": success},
        }
    }


def endpoint_paths() -> Mapping[str, Mapping[str, Any]]:
    """Return the paths of the OAuth endpoints and of health and metrics."""
    return {
        TOKEN_PATH: _post("Get an access token", TokenForm, TokenResponse),
        INTROSPECTION_PATH: _post("Ask what a token says and whether it holds", OneTokenForm, IntrospectionResponse),
        REVOCATION_PATH: _post("Revoke a token of the client's own", OneTokenForm, None),
        REVOCATIONS_PATH: _feed(),
        JWKS_PATH: _get("The public keys", "discovery"),
        "/.well-known/oauth-authorization-server": _get("The server's metadata (RFC 8414)", "discovery"),
        "/.well-known/openid-configuration": _get("The same, where others look for it", "discovery"),
        "/health/live": _get("Whether the process answers", "operation"),
        "/health/ready": _get("Whether requests should be sent here, and if not, why", "operation"),
        "/metrics": _get("Metrics for Prometheus", "operation", "text/plain"),
    }
