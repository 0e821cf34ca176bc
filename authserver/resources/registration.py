"""Resources as an administrator writes them (RFC 8707 §2, RFC 9068), and the core value made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from authserver.core.json_value import Json
from authserver.core.resource import Resource, ResourceScope, SigningAlg, TokenType
from authserver.core.scope import MAX_SCOPES
from authserver.resources.identifier import check_identifier

MIN_TTL_SECONDS = 60
MAX_TTL_SECONDS = 31_536_000
MAX_RESOURCE_SERVERS = 50
MIN_SHARED_SECRET_BYTES = 32  # RFC 7518 §3.2: as long as the hash
MAX_SHARED_SECRET_BYTES = 1024

_SCOPE_NAME = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has a character that cannot be printed")
    return text


def _scope_name(text: str) -> str:
    if not _SCOPE_NAME.fullmatch(text):
        raise ValueError("is no scope name (RFC 6749 §3.3)")
    return text


def _shared_secret(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has a character that cannot be printed")
    if not MIN_SHARED_SECRET_BYTES <= len(text.encode()) <= MAX_SHARED_SECRET_BYTES:
        raise ValueError(f"must have {MIN_SHARED_SECRET_BYTES} to {MAX_SHARED_SECRET_BYTES} bytes (RFC 7518 §3.2)")
    return text


Words = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]
ScopeName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_scope_name)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class ScopeForm(_Strict):
    """A scope of the resource and the scopes that it includes."""

    name: ScopeName = Field(description="One scope-token (RFC 6749 §3.3).")
    description: Words = Field(default="", description="What it allows, in words.")
    includes: list[ScopeName] = Field(default=[], max_length=MAX_SCOPES, description="Scopes that it contains.")


class ResourceCreate(_Strict):
    """All that an administrator may say of a resource: when it is created and, merged, when it is changed."""

    identifier: Annotated[str, AfterValidator(check_identifier)] = Field(
        description="Its absolute URI, the `aud` of its tokens (RFC 8707 §2)."
    )
    name: Words = Field(default="", description="A name for people.")
    scopes: list[ScopeForm] = Field(
        default=[], max_length=MAX_SCOPES, description="Its scopes; empty leaves them to its clients."
    )
    signing_alg: SigningAlg = Field(default=SigningAlg.ES256, strict=False, description="How its tokens are signed.")
    token_typ: TokenType = Field(default=TokenType.AT_JWT, strict=False, description="The `typ` header of its tokens.")
    access_token_ttl_seconds: int | None = Field(
        default=None, ge=MIN_TTL_SECONDS, le=MAX_TTL_SECONDS, description="Null: the server's own."
    )
    resource_servers: list[str] = Field(
        default=[],
        max_length=MAX_RESOURCE_SERVERS,
        description="Ids of the clients that may introspect its tokens and follow its revocations.",
    )
    hs256_secret: Annotated[str, AfterValidator(_shared_secret)] | None = Field(
        default=None, repr=False, description="HS256 only, never shown again. Without it one with 256 bits is made."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [scope.name for scope in self.scopes]
        if len(set(names)) < len(names):
            raise ValueError("scopes: one name occurs twice")
        if not {included for scope in self.scopes for included in scope.includes} <= set(names):
            raise ValueError("scopes: one includes a scope that is not in the list")
        if len(set(self.resource_servers)) < len(self.resource_servers):
            raise ValueError("resource_servers: one client is named twice")
        if self.hs256_secret is not None and self.signing_alg is not SigningAlg.HS256:
            raise ValueError("hs256_secret: only for the signing algorithm HS256")
        return self


def register(form: ResourceCreate, *, resource_id: str, workspace_id: str, now_seconds: int) -> Resource:
    """Return a new resource."""
    blank = Resource(
        resource_id=resource_id,
        workspace_id=workspace_id,
        identifier=form.identifier,
        created_at=now_seconds,
        updated_at=now_seconds,
    )
    return change(blank, form, now_seconds=now_seconds)


def change(resource: Resource, form: ResourceCreate, *, now_seconds: int) -> Resource:
    """Return `resource` with everything replaced by `form`; its id and version stay."""
    return replace(
        resource,
        identifier=form.identifier,
        name=form.name,
        scopes=tuple(
            ResourceScope(name=scope.name, description=scope.description, includes=tuple(scope.includes))
            for scope in form.scopes
        ),
        signing_alg=form.signing_alg,
        token_typ=form.token_typ,
        access_token_ttl_seconds=form.access_token_ttl_seconds,
        resource_servers=tuple(form.resource_servers),
        updated_at=now_seconds,
    )


def metadata_of(resource: Resource) -> Mapping[str, Json]:
    """Return the document that `ResourceCreate` reads back to the same resource."""
    return {
        "identifier": resource.identifier,
        "name": resource.name,
        "scopes": [
            {"name": scope.name, "description": scope.description, "includes": list(scope.includes)}
            for scope in resource.scopes
        ],
        "signing_alg": resource.signing_alg.value,
        "token_typ": resource.token_typ.value,
        "access_token_ttl_seconds": resource.access_token_ttl_seconds,
        "resource_servers": list(resource.resource_servers),
    }
