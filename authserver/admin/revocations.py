"""`/admin/v1/revocations`: revoke one token, or everything of a client, credential, subject, key or all."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from authserver.admin.description import Description
from authserver.admin.operation import Call, Operation, Verbs, shown
from authserver.admin.query import PAGE, cursor, key_of_cursor, limit_of
from authserver.administration.scopes import AdminScope
from authserver.administration.validation import validated
from authserver.core.errors import ValidationFailed
from authserver.core.revocation import Revocation, RevocationKind
from authserver.wire.http import Answer

PATH = "/admin/v1/revocations"
TAG = "revocations"

MAX_VALUE_CHARACTERS = 512
MAX_REASON_CHARACTERS = 500
_MAX_SEQUENCE_DIGITS = 18


class RevocationForm(BaseModel):
    """What to revoke, and why."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: RevocationKind = Field(
        strict=False, description="`jti` for one token, else everything that carries the value."
    )
    value: str | None = Field(
        default=None, max_length=MAX_VALUE_CHARACTERS, description="An id of that kind; left out for `all`."
    )
    reason: str = Field(default="", max_length=MAX_REASON_CHARACTERS)


class RevocationView(BaseModel):
    """An entry: refuses what was issued up to `revoked_at_ms`; kept until `expires_at` (seconds)."""

    kind: RevocationKind
    value: str
    workspace_id: str
    revoked_at_ms: int
    expires_at: int
    reason: str
    actor: str

    @classmethod
    def of(cls, revocation: Revocation) -> Self:
        """Show an entry."""
        return cls.model_validate({name: getattr(revocation, name) for name in cls.model_fields})


class RevocationPage(BaseModel):
    """One page of entries, in the order in which they were made."""

    items: list[RevocationView]
    next_after: str | None = Field(description="The `after` of the next page; null ends the list.")


async def _add(verbs: Verbs, call: Call) -> Answer:
    form = validated(RevocationForm, call.body)
    revocation = await verbs.revocations.add(call.actor, form.kind, form.value, reason=form.reason)
    return shown(RevocationView.of(revocation), status=201)


async def _list(verbs: Verbs, call: Call) -> Answer:
    limit = limit_of(call.query)
    entries = await verbs.revocations.page(call.actor, after=_sequence(key_of_cursor(call.query)), limit=limit)
    next_after = str(entries[-1].sequence) if len(entries) == limit else None
    return shown(RevocationPage(items=[RevocationView.of(one) for one in entries], next_after=cursor(next_after)))


def _sequence(key: str | None) -> int:
    """Return the sequence inside a cursor, 0 for the first page; raise ValidationFailed."""
    if key is None:
        return 0
    if not (key.isascii() and key.isdigit() and len(key) <= _MAX_SEQUENCE_DIGITS):
        raise ValidationFailed.of("after", "is no cursor of this list")
    return int(key)


OPERATIONS = (
    Operation(
        description=Description(
            method="POST",
            path=PATH,
            summary="Revoke a token, or everything of one kind",
            tag=TAG,
            scope=AdminScope.REVOCATIONS_WRITE,
            request=RevocationForm,
            response=RevocationView,
            status=201,
        ),
        handler=_add,
    ),
    Operation(
        description=Description(
            method="GET",
            path=PATH,
            summary="List what was revoked",
            tag=TAG,
            scope=AdminScope.REVOCATIONS_READ,
            response=RevocationPage,
            query=PAGE,
        ),
        handler=_list,
    ),
)
