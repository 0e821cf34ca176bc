"""`/admin/v1/status`: what the server is and how it does."""

from __future__ import annotations

from dataclasses import asdict

from pydantic import BaseModel

from authserver.admin.description import Description
from authserver.admin.operation import Call, Operation, Verbs, shown
from authserver.administration.scopes import AdminScope
from authserver.core.resource import SigningAlg
from authserver.wire.http import Answer


class KeyAgeView(BaseModel):
    """An active signing key and for how many seconds it has signed."""

    kid: str
    alg: SigningAlg
    age_seconds: int


class StatusView(BaseModel):
    """The server at one moment."""

    version: str
    issuer: str
    workspaces: list[str]
    resources: int
    revocations_held: int
    signing_keys: list[KeyAgeView]


async def _get(verbs: Verbs, call: Call) -> Answer:
    return shown(StatusView.model_validate(asdict(await verbs.status.get(call.actor))))


OPERATIONS = (
    Operation(
        description=Description(
            method="GET",
            path="/admin/v1/status",
            summary="Show version, issuer, keys' ages and counts",
            tag="status",
            scope=AdminScope.STATUS_READ,
            response=StatusView,
        ),
        handler=_get,
    ),
)
