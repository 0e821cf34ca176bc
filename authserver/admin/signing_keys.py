"""`/admin/v1/signing-keys`: list, rotate, revoke, and public keys in PEM. Never a private part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from authserver.admin.description import Description
from authserver.admin.operation import Call, Operation, Verbs, shown
from authserver.administration.scopes import AdminScope
from authserver.administration.validation import validated
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState, SigningKey
from authserver.wire.http import NO_STORE, Answer

PATH = "/admin/v1/signing-keys"
TAG = "signing keys"
PEM_MEDIA_TYPE = "application/x-pem-file"

MAX_REASON_CHARACTERS = 500


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class RotateForm(_Form):
    """Which keys to rotate; without `alg` all of the workspace but those of HS256 resources."""

    alg: SigningAlg | None = Field(default=None, strict=False)
    resource_id: str | None = Field(default=None, description="The resource whose HS256 key is meant.")
    force: bool = Field(default=False, description="Do not wait until every verifier can know the next key.")


class RevokeForm(_Form):
    """Why a key is withdrawn."""

    reason: str = Field(default="", max_length=MAX_REASON_CHARACTERS)


class KeyView(BaseModel):
    """A signing key without its private part. Times are seconds since the epoch."""

    kid: str
    alg: SigningAlg
    state: KeyState
    workspace_id: str
    resource_id: str | None
    published_at: int
    activated_at: int | None
    activate_at: int | None
    retire_until: int | None
    revoked_at: int | None

    @classmethod
    def of(cls, key: SigningKey) -> Self:
        """Show a key; what is not named here is not shown."""
        return cls.model_validate({name: getattr(key, name) for name in cls.model_fields})


class KeyList(BaseModel):
    """The keys that are not gone, and those that were revoked."""

    items: list[KeyView]


def _shown(keys: Sequence[SigningKey]) -> Answer:
    return shown(KeyList(items=[KeyView.of(key) for key in keys]))


async def _list(verbs: Verbs, call: Call) -> Answer:
    return _shown(await verbs.signing_keys.list(call.actor))


async def _rotate(verbs: Verbs, call: Call) -> Answer:
    form = validated(RotateForm, call.body)
    return _shown(
        await verbs.signing_keys.rotate(call.actor, alg=form.alg, resource_id=form.resource_id, force=form.force)
    )


async def _revoke(verbs: Verbs, call: Call) -> Answer:
    form = validated(RevokeForm, call.body)
    return _shown(await verbs.signing_keys.revoke(call.actor, call.path["kid"], reason=form.reason))


async def _pem(verbs: Verbs, call: Call) -> Answer:
    pem = await verbs.signing_keys.export_pem(call.actor, call.path["kid"])
    return Answer(200, pem.encode("ascii"), ((b"content-type", PEM_MEDIA_TYPE.encode()), NO_STORE))


OPERATIONS = (
    Operation(
        description=Description(
            method="GET",
            path=PATH,
            summary="List signing keys",
            tag=TAG,
            scope=AdminScope.KEYS_READ,
            response=KeyList,
        ),
        handler=_list,
    ),
    Operation(
        description=Description(
            method="POST",
            path=f"{PATH}/rotate",
            summary="Let the next key take over as soon as verifiers can know it",
            tag=TAG,
            scope=AdminScope.KEYS_WRITE,
            request=RotateForm,
            response=KeyList,
        ),
        handler=_rotate,
    ),
    Operation(
        description=Description(
            method="POST",
            path=f"{PATH}/{{kid}}/revoke",
            summary="Withdraw a key at once, with all tokens that it has signed",
            tag=TAG,
            scope=AdminScope.KEYS_WRITE,
            request=RevokeForm,
            response=KeyList,
        ),
        handler=_revoke,
    ),
    Operation(
        description=Description(
            method="GET",
            path=f"{PATH}/{{kid}}/pem",
            summary="Export a public key for verifiers that take no JWKS",
            tag=TAG,
            scope=AdminScope.KEYS_READ,
            response_media_type=PEM_MEDIA_TYPE,
        ),
        handler=_pem,
    ),
)
