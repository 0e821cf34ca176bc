"""`/admin/v1/clients`: clients under their RFC 7591 names."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from authserver.admin.description import Description
from authserver.admin.operation import Call, Operation, Verbs, nothing, shown
from authserver.admin.query import PAGE, cursor, key_of_cursor, limit_of
from authserver.administration.scopes import AdminScope
from authserver.clients.registration import ClientCreate, ClientMetadata, metadata_of
from authserver.core.client import AuthMethod, Client, ClientSecret, ClientStatus, SecretState
from authserver.wire.http import Answer

PATH = "/admin/v1/clients"
ONE = f"{PATH}/{{client_id}}"
TAG = "clients"

_NEVER = 0  # RFC 7591 §3.2.1: the secret does not expire


class SecretView(BaseModel):
    """What may be seen of a live secret."""

    model_config = ConfigDict(extra="forbid")

    credential_id: str = Field(description="Stands in each token that was obtained with it.")
    state: SecretState = Field(description="`next` during a rotation; both work.")
    secret_hint: str = Field(description="Its last four characters.")
    created_at: int = Field(description="Seconds since the epoch.")
    expires_at: int | None
    last_used_at: int | None

    @classmethod
    def of(cls, secret: ClientSecret) -> Self:
        """Show a secret without its hash."""
        return cls(
            credential_id=secret.credential_id,
            state=secret.state,
            secret_hint=secret.secret_hint,
            created_at=secret.created_at,
            expires_at=secret.expires_at,
            last_used_at=secret.last_used_at,
        )


class ClientView(BaseModel):
    """A client as it is shown, never with a secret. Times are seconds since the epoch."""

    model_config = ConfigDict(extra="forbid")

    client_id: str
    workspace_id: str
    client_name: str
    client_description: str
    status: ClientStatus
    scope: str
    default_scope: str | None
    audiences: list[str]
    default_audience: str | None
    trusted_metadata: dict[str, Any]
    access_token_ttl_seconds: int | None
    token_endpoint_auth_method: AuthMethod
    grant_types: list[str]
    client_uri: str | None = None
    logo_uri: str | None = None
    tos_uri: str | None = None
    policy_uri: str | None = None
    contacts: list[str] | None = None
    software_id: str | None = None
    software_version: str | None = None
    secrets: list[SecretView]
    created_at: int
    updated_at: int
    version: int = Field(description="Counts the changes; also the ETag.")

    @classmethod
    def of(cls, client: Client, **more: Any) -> Self:
        """Show a client; `more` fills in what a subclass adds."""
        return cls.model_validate(
            {
                **metadata_of(client),
                "client_id": client.client_id,
                "workspace_id": client.workspace_id,
                "secrets": [SecretView.of(secret) for secret in client.secrets],
                "created_at": client.created_at,
                "updated_at": client.updated_at,
                "version": client.version,
                **more,
            }
        )


class CreatedClientView(ClientView):
    """A new client with its secret, which is shown this once (RFC 7591 §3.2.1)."""

    client_secret: str = Field(repr=False, description="Shown once. Keep it.")
    client_secret_expires_at: int = Field(description="0: it does not expire.")
    credential_id: str
    secret_hint: str


class ClientPage(BaseModel):
    """One page of clients, in the order of their ids."""

    items: list[ClientView]
    next_after: str | None = Field(description="The `after` of the next page; null ends the list.")


async def _create(verbs: Verbs, call: Call) -> Answer:
    client, secret = await verbs.clients.create(call.actor, call.body)
    entry = client.secrets[0]
    view = CreatedClientView.of(
        client,
        client_secret=secret,
        client_secret_expires_at=_NEVER,
        credential_id=entry.credential_id,
        secret_hint=entry.secret_hint,
    )
    return shown(view, status=201, version=client.version)


async def _list(verbs: Verbs, call: Call) -> Answer:
    page = await verbs.clients.page(call.actor, after=key_of_cursor(call.query), limit=limit_of(call.query))
    items = [ClientView.of(client) for client in page.items]
    return shown(ClientPage(items=items, next_after=cursor(page.next_after)))


async def _get(verbs: Verbs, call: Call) -> Answer:
    client = await verbs.clients.get(call.actor, call.path["client_id"])
    return shown(ClientView.of(client), version=client.version)


async def _update(verbs: Verbs, call: Call) -> Answer:
    client = await verbs.clients.update(
        call.actor, call.path["client_id"], call.body, expected_version=call.expected_version
    )
    return shown(ClientView.of(client), version=client.version)


async def _delete(verbs: Verbs, call: Call) -> Answer:
    await verbs.clients.delete(call.actor, call.path["client_id"], expected_version=call.expected_version)
    return nothing()


OPERATIONS = (
    Operation(
        description=Description(
            method="POST",
            path=PATH,
            summary="Create a client, or import one with its id and secret",
            tag=TAG,
            scope=AdminScope.CLIENTS_WRITE,
            request=ClientCreate,
            response=CreatedClientView,
            status=201,
        ),
        handler=_create,
    ),
    Operation(
        description=Description(
            method="GET",
            path=PATH,
            summary="List clients",
            tag=TAG,
            scope=AdminScope.CLIENTS_READ,
            response=ClientPage,
            query=PAGE,
        ),
        handler=_list,
    ),
    Operation(
        description=Description(
            method="GET",
            path=ONE,
            summary="Show a client",
            tag=TAG,
            scope=AdminScope.CLIENTS_READ,
            response=ClientView,
        ),
        handler=_get,
    ),
    Operation(
        description=Description(
            method="PATCH",
            path=ONE,
            summary="Change a client; disabling it ends all its tokens",
            tag=TAG,
            scope=AdminScope.CLIENTS_WRITE,
            request=ClientMetadata,
            patch=True,
            response=ClientView,
            conditional=True,
        ),
        handler=_update,
    ),
    Operation(
        description=Description(
            method="DELETE",
            path=ONE,
            summary="Delete a client and end all its tokens",
            tag=TAG,
            scope=AdminScope.CLIENTS_WRITE,
            status=204,
            conditional=True,
        ),
        handler=_delete,
    ),
)
