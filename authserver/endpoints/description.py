"""The OAuth endpoints in OpenAPI's own form, from pydantic models of what they read and answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from authserver.core.revocation import RevocationKind
from authserver.endpoints.forward_auth import FORWARD_AUTH_PATH
from authserver.endpoints.metadata import (
    INTROSPECTION_PATH,
    JWKS_PATH,
    REVOCATION_PATH,
    REVOCATIONS_PATH,
    TOKEN_PATH,
)
from authserver.endpoints.verifier_config import VERIFIER_CONFIG_PATH
from authserver.resources.verifier_config import VerifierConfiguration

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
    known_after_ms: Annotated[
        int,
        Field(description="The same without a clock: how long after the request came. Negative: so long before."),
    ]
    jwks: Annotated[str, Field(description="The digest of the JWK Set as it is published now, which is its ETag too.")]
    snapshot: Annotated[bool, Field(description="Forget what you had: this is the beginning of everything.")]
    more: Annotated[bool, Field(description="There is more to read at once.")]
    entries: list[RevocationEntry]


class ErrorResponse(BaseModel):
    """Why not (RFC 6749 §5.2)."""

    error: str
    error_description: str
    request_id: str


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a model, with those of its members in place: `$defs` is found at a document's root only."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def in_place(value: Any) -> Any:
        if isinstance(value, list):
            return [in_place(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return in_place(definitions[value["$ref"].rpartition("/")[2]])
        return {name: in_place(item) for name, item in value.items()}

    placed: dict[str, Any] = in_place(schema)
    return placed


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


def _for_resource_servers(
    summary: str, parameters: Mapping[str, tuple[str, str]], schema: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a GET with client credentials; `parameters` of the query by name, with type and description."""
    content = {"application/json": {"schema": schema}}
    return {
        "get": {
            "summary": summary,
            "tags": ["oauth"],
            "security": [{"clientBasic": []}],
            "parameters": [
                {"name": name, "in": "query", "schema": {"type": kind}, "description": description}
                for name, (kind, description) in parameters.items()
            ],
            "responses": {
                "200": {"description": "Done.", "content": content},
                "default": {"description": "Refused, and why.", "content": _json(ErrorResponse)},
            },
        }
    }


def _feed() -> dict[str, Any]:
    return _for_resource_servers(
        "Follow the revocations, for resource servers",
        {
            "after": ("string", "The cursor of the last answer."),
            "jwks": ("string", "The digest of the key set held; for another one than the present there is no wait."),
            "wait": ("integer", "Seconds to wait for news."),
        },
        _schema(FeedResponse),
    )


def _verifier_config() -> dict[str, Any]:
    return _for_resource_servers(
        "Get what a service needs to check tokens itself, for resource servers; with secrets for HS256",
        {"resource": ("string", "The identifier of the resource; may be omitted by who serves one only.")},
        {"$ref": f"#/components/schemas/{VerifierConfiguration.__name__}"},  # the management API shows it too
    )


def _forward_auth() -> dict[str, Any]:
    described = {
        "scope": "Scopes that are needed, all of them, with a space between.",
        "any_scope": "Scopes of which one is needed.",
        "resource": "The audience that the proxy protects; omitted: the only one that is registered.",
        "claims": "Claims to hand on in headers, with a comma between.",
    }
    identity = ("X-Auth-Client-Id", "X-Auth-Subject", "X-Auth-Scope", "X-Auth-Workspace")
    return {
        "get": {
            "summary": "Ask whether a request may pass, for proxies",
            "tags": ["oauth"],
            "security": [{"accessToken": []}],
            "parameters": [
                {"name": name, "in": "query", "schema": {"type": "string"}, "description": text}
                for name, text in described.items()
            ],
            "responses": {
                "204": {
                    "description": "It may, and this is who sends it.",
                    "headers": {name: {"schema": {"type": "string"}} for name in identity},
                },
                "default": {"description": "It may not, and why.", "content": _json(ErrorResponse)},
            },
        }
    }


def endpoint_paths() -> Mapping[str, Mapping[str, Any]]:
    """Return the paths of the OAuth endpoints and of health and metrics."""
    return {
        TOKEN_PATH: _post("Get an access token", TokenForm, TokenResponse),
        INTROSPECTION_PATH: _post("Ask what a token says and whether it holds", OneTokenForm, IntrospectionResponse),
        REVOCATION_PATH: _post("Revoke a token of the client's own", OneTokenForm, None),
        REVOCATIONS_PATH: _feed(),
        FORWARD_AUTH_PATH: _forward_auth(),
        VERIFIER_CONFIG_PATH: _verifier_config(),
        JWKS_PATH: _get("The public keys", "discovery"),
        "/.well-known/oauth-authorization-server": _get("The server's metadata (RFC 8414)", "discovery"),
        "/.well-known/openid-configuration": _get("The same, where others look for it", "discovery"),
        "/health/live": _get("Whether the process answers", "operation"),
        "/health/ready": _get("Whether requests should be sent here, and if not, why", "operation"),
        "/metrics": _get("Metrics for Prometheus", "operation", "text/plain"),
    }
