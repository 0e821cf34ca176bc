"""Clients and their secrets (RFC 6749 §2, RFC 7591 §2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from authserver.core.json_value import Json
from authserver.core.scope import Scopes


class ClientStatus(StrEnum):
    """A disabled client gets no token, and none of its tokens is active."""

    ACTIVE = "active"
    DISABLED = "disabled"


class AuthMethod(StrEnum):
    """`token_endpoint_auth_method` (RFC 7591 §2), those that work here."""

    CLIENT_SECRET_BASIC = "client_secret_basic"
    CLIENT_SECRET_POST = "client_secret_post"


class SecretState(StrEnum):
    """A client has one active secret and, during a rotation, the next one. Both work."""

    ACTIVE = "active"
    NEXT = "next"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """One live secret of a client. `credential_id` goes into each token that it obtains."""

    credential_id: str
    client_id: str
    state: SecretState
    secret_hash: str = field(repr=False)
    secret_hint: str
    created_at: int
    expires_at: int | None = None
    last_used_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered client. Times are seconds since the epoch; `version` counts its changes.

    `scope` is all that it may ask for, `default_scope` what it gets when it asks for nothing
    (None: all of `scope`). `audiences` are the resources it may name, the first one by default.
    """

    client_id: str
    workspace_id: str
    client_name: str
    client_description: str = ""
    status: ClientStatus = ClientStatus.ACTIVE
    token_endpoint_auth_method: AuthMethod = AuthMethod.CLIENT_SECRET_BASIC
    grant_types: tuple[str, ...] = ("client_credentials",)
    scope: Scopes = ()
    default_scope: Scopes | None = None
    audiences: tuple[str, ...] = ()
    default_audience: str | None = None
    trusted_metadata: Mapping[str, Json] = field(default_factory=dict)
    access_token_ttl_seconds: int | None = None
    descriptive: Mapping[str, Json] = field(default_factory=dict)
    """RFC 7591 metadata that changes nothing here: client_uri, logo_uri, tos_uri, policy_uri, contacts, software_*."""
    secrets: tuple[ClientSecret, ...] = field(default=(), repr=False)
    created_at: int
    updated_at: int
    version: int = 1
