"""Client metadata as an administrator writes it (RFC 7591 §2), and the core value made of it.

The same model reads a create, an import and, merged into the present state, an update. What a client's
audiences and trusted metadata may be is decided by their own packages, and applied in `administration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from authserver.core.client import AuthMethod, Client, ClientStatus
from authserver.core.errors import InvalidScope
from authserver.core.json_value import Json
from authserver.core.scope import MAX_SCOPE_CHARACTERS, Scopes, format_scope, parse_scope
from authserver.core.secret import MAX_SECRET_BYTES, is_generated

MIN_TTL_SECONDS = 60
MAX_TTL_SECONDS = 31_536_000
MAX_CLIENT_ID_BYTES = 255
MIN_IMPORTED_SECRET_CHARACTERS = 16
MIN_DIFFERENT_CHARACTERS = 6
MAX_AUDIENCES = 50

DESCRIPTIVE_FIELDS = ("client_uri", "logo_uri", "tos_uri", "policy_uri", "contacts", "software_id", "software_version")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has a character that cannot be printed")
    return text


def _trimmed(text: str) -> str:
    if text != text.strip():
        raise ValueError("begins or ends with a space")
    return text


def _client_id(text: str) -> str:
    if "/" in text or "\\" in text or text in {".", ".."}:
        raise ValueError("has a form that no path can carry")
    if len(text.encode()) > MAX_CLIENT_ID_BYTES:
        raise ValueError(f"is longer than {MAX_CLIENT_ID_BYTES} bytes")
    if is_generated(text):  # presented as an id it would be refused, as a secret in the wrong place
        raise ValueError("has the form of a secret")
    return text


def _secret(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has a character that cannot be printed")
    if len(text.encode()) > MAX_SECRET_BYTES:
        raise ValueError(f"is longer than {MAX_SECRET_BYTES} bytes")
    if is_generated(text):
        return text
    if len(text) < MIN_IMPORTED_SECRET_CHARACTERS:
        raise ValueError(f"is shorter than {MIN_IMPORTED_SECRET_CHARACTERS} characters")
    if len(set(text)) < MIN_DIFFERENT_CHARACTERS:
        raise ValueError(f"has fewer than {MIN_DIFFERENT_CHARACTERS} different characters")
    return text


def _scope(text: str) -> str:
    try:
        return format_scope(parse_scope(text))
    except InvalidScope as error:
        raise ValueError(error.reason) from None


def _web_page(text: str) -> str:
    try:
        url = urlsplit(text)
    except ValueError:
        raise ValueError("is no URL") from None
    if url.scheme not in {"https", "http"} or not url.hostname or url.username is not None or " " in text:
        raise ValueError("must be an http or https URL")
    return text


ClientId = Annotated[
    str, Field(min_length=1), AfterValidator(_printable), AfterValidator(_trimmed), AfterValidator(_client_id)
]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable), AfterValidator(_trimmed)]
Words = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]
ScopeText = Annotated[str, Field(max_length=MAX_SCOPE_CHARACTERS), AfterValidator(_scope)]
WebPage = Annotated[str, Field(max_length=1000), AfterValidator(_printable), AfterValidator(_web_page)]


class ClientMetadata(BaseModel):
    """All that an administrator may change of a client."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    client_name: Name = Field(description="A name for people.")
    client_description: Words = Field(default="", description="What the client is for.")
    status: ClientStatus = Field(
        default=ClientStatus.ACTIVE, strict=False, description="A disabled client gets no token and loses those it has."
    )
    scope: ScopeText = Field(default="", description="All that it may ask for, names with one space between.")
    default_scope: ScopeText | None = Field(
        default=None, description="What it gets when it asks for nothing; part of `scope`. Null: all of `scope`."
    )
    audiences: list[str] = Field(
        default=[], max_length=MAX_AUDIENCES, description="Identifiers of the resources it may name (RFC 8707)."
    )
    default_audience: str | None = Field(
        default=None, description="The audience when it names none; one of `audiences`. Null: the first one."
    )
    trusted_metadata: dict[str, Any] = Field(default={}, description="A JSON object that claims templates can read.")
    access_token_ttl_seconds: int | None = Field(
        default=None, ge=MIN_TTL_SECONDS, le=MAX_TTL_SECONDS, description="Null: the resource's or the server's own."
    )
    token_endpoint_auth_method: AuthMethod = Field(
        default=AuthMethod.CLIENT_SECRET_BASIC, strict=False, description="The one way in which it authenticates."
    )
    grant_types: list[Literal["client_credentials"]] = Field(
        default=["client_credentials"], min_length=1, max_length=1, description="The grants it may use."
    )
    client_uri: WebPage | None = Field(default=None, description="A page about the client.")
    logo_uri: WebPage | None = Field(default=None, description="Its logo.")
    tos_uri: WebPage | None = Field(default=None, description="Its terms of service.")
    policy_uri: WebPage | None = Field(default=None, description="Its privacy policy.")
    contacts: list[Name] | None = Field(default=None, max_length=20, description="People responsible, often addresses.")
    software_id: Name | None = Field(default=None, description="An id of the software, the same for all instances.")
    software_version: Name | None = Field(default=None, description="The version of the software.")

    @field_validator("default_scope", mode="after")
    @classmethod
    def _default_within_scope(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not set(value.split()) <= set(info.data.get("scope", value).split()):
            raise ValueError("is not part of `scope`")
        return value

    @field_validator("audiences", mode="after")
    @classmethod
    def _audiences_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("names one audience twice")
        return value

    @field_validator("default_audience", mode="after")
    @classmethod
    def _default_among_audiences(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and value not in info.data.get("audiences", [value]):
            raise ValueError("is not one of `audiences`")
        return value


class ClientCreate(ClientMetadata):
    """A new client. `client_id` and `client_secret` are given only to import one from elsewhere."""

    client_id: ClientId | None = Field(default=None, description="Import: its id, kept byte for byte.")
    client_secret: Annotated[str, AfterValidator(_secret)] | None = Field(
        default=None, repr=False, description="Import: its secret. Without it one with 256 random bits is made."
    )


def register(form: ClientMetadata, *, client_id: str, workspace_id: str, now_seconds: int) -> Client:
    """Return a new client, still without secrets."""
    blank = Client(
        client_id=client_id, workspace_id=workspace_id, client_name="", created_at=now_seconds, updated_at=now_seconds
    )
    return change(blank, form, now_seconds=now_seconds)


def change(client: Client, form: ClientMetadata, *, now_seconds: int) -> Client:
    """Return `client` with all metadata replaced by `form`; id, secrets and version stay."""
    return replace(
        client,
        client_name=form.client_name,
        client_description=form.client_description,
        status=form.status,
        token_endpoint_auth_method=form.token_endpoint_auth_method,
        grant_types=tuple(form.grant_types),
        scope=parse_scope(form.scope),
        default_scope=_optional_scope(form.default_scope),
        audiences=tuple(form.audiences),
        default_audience=form.default_audience,
        trusted_metadata=form.trusted_metadata,
        access_token_ttl_seconds=form.access_token_ttl_seconds,
        descriptive={name: value for name in DESCRIPTIVE_FIELDS if (value := getattr(form, name)) is not None},
        updated_at=now_seconds,
    )


def metadata_of(client: Client) -> Mapping[str, Json]:
    """Return the document that `ClientMetadata` reads back to the same client."""
    return {
        "client_name": client.client_name,
        "client_description": client.client_description,
        "status": client.status.value,
        "scope": format_scope(client.scope),
        "default_scope": None if client.default_scope is None else format_scope(client.default_scope),
        "audiences": list(client.audiences),
        "default_audience": client.default_audience,
        "trusted_metadata": dict(client.trusted_metadata),
        "access_token_ttl_seconds": client.access_token_ttl_seconds,
        "token_endpoint_auth_method": client.token_endpoint_auth_method.value,
        "grant_types": list(client.grant_types),
        **client.descriptive,
    }


def _optional_scope(text: str | None) -> Scopes | None:
    return None if text is None else parse_scope(text)
