"""Revocations by an administrator: one token, or everything of a client, credential, subject, key or all."""

from __future__ import annotations

from collections.abc import Sequence

from authserver.administration.actor import Actor
from authserver.administration.ports import Revoker, Settle
from authserver.administration.scopes import AdminScope
from authserver.audit.events import AuditEvent
from authserver.core.errors import ValidationFailed
from authserver.core.ports import AuditSink, RevocationStore
from authserver.core.revocation import EVERYTHING, Revocation, RevocationKind


class RevocationAdministration:
    """The verbs for revocations. Each raises InsufficientScope when the actor may not."""

    def __init__(self, *, store: RevocationStore, revoker: Revoker, audit: AuditSink, settle: Settle) -> None:
        """Read from `store`, write through `revoker`."""
        self._store = store
        self._revoker = revoker
        self._audit = audit
        self._settle = settle

    async def add(self, actor: Actor, kind: RevocationKind, value: str | None, *, reason: str = "") -> Revocation:
        """Revoke; `value` is an id of that kind and is left out for kind `all`. Raises ValidationFailed.

        A value that names nothing is accepted: tokens of a client that is gone must be revocable.
        """
        actor.require(AdminScope.REVOCATIONS_WRITE)
        target = _target(kind, value, actor.workspace_id)
        revocation = await self._revoker.revoke(
            kind, target, workspace_id=actor.workspace_id, reason=reason, actor=actor.name
        )
        self._audit.record(
            AuditEvent.REVOCATION_CREATED,
            actor=actor.name,
            workspace_id=actor.workspace_id,
            kind=kind.value,
            value=target,
            reason=reason,
        )
        await self._settle()
        return revocation

    async def page(self, actor: Actor, *, after: int, limit: int) -> Sequence[Revocation]:
        """Return up to `limit` entries with a sequence greater than `after`, in order."""
        actor.require(AdminScope.REVOCATIONS_READ)
        return await self._store.page(after=after, limit=limit)


def _target(kind: RevocationKind, value: str | None, workspace_id: str) -> str:
    """Return the value to revoke; its form is judged by the revoker."""
    if kind is RevocationKind.ALL:
        if value not in {None, EVERYTHING}:  # somebody meant less than everything
            raise ValidationFailed.of("value", "must be left out when everything is revoked")
        return EVERYTHING
    if kind is RevocationKind.WORKSPACE and value != workspace_id:
        raise ValidationFailed.of("value", "is not the workspace of the caller")
    return value or ""
