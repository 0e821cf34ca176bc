"""`/admin/v1/clients/{client_id}/secrets`: start, complete or cancel a rotation; remove one secret at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from authserver.admin.clients import ONE, TAG, ClientView
from authserver.admin.description import Description
from authserver.admin.operation import Call, Operation, Verbs, nothing, shown
from authserver.administration.scopes import AdminScope
from authserver.administration.validation import validated
from authserver.core.client import Client
from authserver.wire.http import Answer

PATH = f"{ONE}/secrets"


class Empty(BaseModel):
    """A request without fields; the body may also be left out."""

    model_config = ConfigDict(extra="forbid")


class NewSecretView(BaseModel):
    """A new secret, which is shown this once."""

    client_id: str
    client_secret: str = Field(repr=False, description="Shown once. Keep it.")
    credential_id: str
    secret_hint: str


async def _start(verbs: Verbs, call: Call) -> Answer:
    validated(Empty, call.body)
    entry, secret = await verbs.secrets.start_rotation(call.actor, call.path["client_id"])
    view = NewSecretView(
        client_id=entry.client_id,
        client_secret=secret,
        credential_id=entry.credential_id,
        secret_hint=entry.secret_hint,
    )
    return shown(view, status=201)


async def _complete(verbs: Verbs, call: Call) -> Answer:
    validated(Empty, call.body)
    return _client(await verbs.secrets.complete_rotation(call.actor, call.path["client_id"]))


async def _cancel(verbs: Verbs, call: Call) -> Answer:
    validated(Empty, call.body)
    return _client(await verbs.secrets.cancel_rotation(call.actor, call.path["client_id"]))


async def _remove(verbs: Verbs, call: Call) -> Answer:
    await verbs.secrets.remove(call.actor, call.path["client_id"], call.path["credential_id"])
    return nothing()


def _client(client: Client) -> Answer:
    return shown(ClientView.of(client), version=client.version)


OPERATIONS = (
    Operation(
        description=Description(
            method="POST",
            path=PATH,
            summary="Start a rotation: a second secret that works beside the first",
            tag=TAG,
            scope=AdminScope.CLIENTS_WRITE,
            request=Empty,
            response=NewSecretView,
            status=201,
        ),
        handler=_start,
    ),
    Operation(
        description=Description(
            method="POST",
            path=f"{PATH}/complete",
            summary="Complete the rotation: only the new secret works",
            tag=TAG,
            scope=AdminScope.CLIENTS_WRITE,
            request=Empty,
            response=ClientView,
        ),
        handler=_complete,
    ),
    Operation(
        description=Description(
            method="POST",
            path=f"{PATH}/cancel",
            summary="Cancel the rotation: only the old secret works",
            tag=TAG,
            scope=AdminScope.CLIENTS_WRITE,
            request=Empty,
            response=ClientView,
        ),
        handler=_cancel,
    ),
    Operation(
        description=Description(
            method="DELETE",
            path=f"{PATH}/{{credential_id}}",
            summary="Remove a secret at once and end all tokens that it obtained",
            tag=TAG,
            scope=AdminScope.CLIENTS_WRITE,
            status=204,
        ),
        handler=_remove,
    ),
)
