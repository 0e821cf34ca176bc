"""Signing keys: list, rotate, revoke in an emergency, export for verifiers that take no JWKS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from authserver.administration.actor import Actor
from authserver.administration.ports import Revoker, Settle
from authserver.administration.scopes import AdminScope
from authserver.audit.events import AuditEvent
from authserver.core.errors import NotFound
from authserver.core.ports import AuditSink
from authserver.core.resource import SigningAlg
from authserver.core.revocation import WITHDRAWN_SECONDS, RevocationKind
from authserver.core.signing_key import SigningKey


class Keys(Protocol):
    """The key ring, as far as an administrator uses it."""

    def list(self) -> Sequence[SigningKey]:
        """Return all keys that are not gone, and those that were revoked."""

    def export_pem(self, kid: str) -> str:
        """Return a public key in PEM; raise NotFound, or Conflict for an HS256 key."""

    def export_secret(self, kid: str) -> bytes:
        """Return the secret of an HS256 key; raise NotFound, or Conflict for any other key."""

    async def rotate(
        self, *, workspace_id: str, alg: SigningAlg, resource_id: str | None = None, force: bool = False
    ) -> Sequence[SigningKey]:
        """Let the next key sign as soon as verifiers can know it, at once when forced; raise NotFound."""

    async def revoke(self, kid: str) -> Sequence[SigningKey]:
        """Withdraw a key at once; raise NotFound."""


class SigningKeyAdministration:
    """The verbs for signing keys. Each raises InsufficientScope when the actor may not."""

    def __init__(self, *, keys: Keys, revoker: Revoker, audit: AuditSink, settle: Settle) -> None:
        """Work on `keys`; `revoker` ends the tokens of a key that is revoked."""
        self._keys = keys
        self._revoker = revoker
        self._audit = audit
        self._settle = settle

    async def list(self, actor: Actor) -> Sequence[SigningKey]:
        """Return the keys of the workspace."""
        actor.require(AdminScope.KEYS_READ)
        return self._of_workspace(actor)

    async def export_pem(self, actor: Actor, kid: str) -> str:
        """Return the public part in PEM (RFC 7468 §13); raise NotFound, or Conflict for an HS256 key."""
        actor.require(AdminScope.KEYS_READ)
        self._require_known(actor, kid)
        return self._keys.export_pem(kid)

    async def export_secret(self, actor: Actor, kid: str) -> bytes:
        """Return the secret of an HS256 key, for the services of its resource.

        Raises NotFound, or Conflict for an asymmetric key, whose private part never leaves the server.
        """
        actor.require(AdminScope.KEYS_WRITE)
        self._require_known(actor, kid)
        secret = self._keys.export_secret(kid)
        self._record(AuditEvent.SIGNING_KEY_SECRET_EXPORTED, actor, kid=kid)
        return secret

    async def rotate(
        self, actor: Actor, *, alg: SigningAlg | None = None, resource_id: str | None = None, force: bool = False
    ) -> Sequence[SigningKey]:
        """Rotate the keys of one algorithm, or all of the workspace's own, and return the keys as they are then.

        `resource_id` names the owner of HS256 keys, which are rotated one resource at a time. `force` does not
        wait until every verifier can know the next key. Raises NotFound for a kind of key that is not there.
        """
        actor.require(AdminScope.KEYS_WRITE)
        algs = [alg] if alg else self._own_algs(actor)
        for each in algs:
            await self._keys.rotate(workspace_id=actor.workspace_id, alg=each, resource_id=resource_id, force=force)
            self._record(AuditEvent.SIGNING_KEY_ROTATED, actor, alg=each.value, resource_id=resource_id, force=force)
        await self._settle()
        return self._of_workspace(actor)

    async def revoke(self, actor: Actor, kid: str, *, reason: str = "") -> Sequence[SigningKey]:
        """Withdraw a key at once, with all tokens that it has signed, and return the keys as they are then."""
        actor.require(AdminScope.KEYS_WRITE)
        self._require_known(actor, kid)
        await self._revoker.revoke(  # first: offline verifiers learn it from the feed, whatever becomes of the key
            RevocationKind.KID,
            kid,
            workspace_id=actor.workspace_id,
            reason=reason or "signing key revoked",
            actor=actor.name,
            ahead_seconds=WITHDRAWN_SECONDS,
        )
        await self._keys.revoke(kid)
        self._record(AuditEvent.SIGNING_KEY_REVOKED, actor, kid=kid, reason=reason)
        await self._settle()
        return self._of_workspace(actor)

    def _of_workspace(self, actor: Actor) -> Sequence[SigningKey]:
        return [key for key in self._keys.list() if key.workspace_id == actor.workspace_id]

    def _own_algs(self, actor: Actor) -> Sequence[SigningAlg]:
        return sorted({key.alg for key in self._of_workspace(actor) if key.alg is not SigningAlg.HS256})

    def _require_known(self, actor: Actor, kid: str) -> None:
        if kid not in {key.kid for key in self._of_workspace(actor)}:
            raise NotFound("no signing key has this kid")

    def _record(self, event: AuditEvent, actor: Actor, **fields: object) -> None:
        self._audit.record(event, actor=actor.name, workspace_id=actor.workspace_id, **fields)
