"""The key ring: every signing key of the deployment, held in memory, changed through the store.

Lookups are synchronous and cost no I/O. Each write decides on the keys in memory (`lifecycle.py`), makes new
keys in a thread, hands the store both the old and the new state, and loads: of many instances one wins, the
others take over what it has done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256

from authserver.core.access_token import AccessToken
from authserver.core.clock import Clock, seconds, uptime
from authserver.core.errors import Conflict, NotFound, TemporarilyUnavailable
from authserver.core.ports import SigningKeyStore
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState, SigningKey
from authserver.keys.births import bear, signing_key
from authserver.keys.lifecycle import (
    KeyBirth,
    KeyChange,
    KeyGroup,
    Policy,
    first_pair,
    in_state,
    plan_revocation,
    plan_rotation,
    plan_tick,
)
from authserver.keys.material import generate, import_hs256, public_pem
from authserver.keys.sealing import Sealer
from authserver.keys.signer import Signer
from authserver.keys.snapshot import KeySnapshot, in_order, take_snapshot
from authserver.keys.verifier import AudienceOf

#: How long a key is published at least before it signs, even if forced: who follows the feed has fetched it by then.
NOTICE_SECONDS = 0.25

_REVOCATION_ATTEMPTS = 5
_DIGEST_CHARACTERS = 16


def no_audience(_resource_id: str) -> str | None:
    """Know no resource: tokens signed with HS256 are then refused."""
    return None


def nobody_waits() -> None:
    """Tell nobody of other published keys."""


class KeyRing:
    """Signs, verifies and publishes with what was loaded last; raises TemporarilyUnavailable before that.

    `audience_of` returns the identifier of a resource: a token signed with an HS256 key is believed for that
    audience alone, because services outside hold the key too. `published` is called when the JWK Set has changed.
    """

    def __init__(
        self,
        *,
        store: SigningKeyStore,
        sealer: Sealer,
        policy: Policy,
        clock: Clock,
        issuer: str,
        audience_of: AudienceOf = no_audience,
        published: Callable[[], None] = nobody_waits,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._policy = policy
        self._clock = clock
        self._issuer = issuer
        self._audience_of = audience_of
        self._published = published
        self._snapshot: KeySnapshot | None = None
        self._published_at = float("-inf")
        self._loading = asyncio.Lock()
        self._writing = asyncio.Lock()

    # ── lookups ──

    def signer_for(self, *, workspace_id: str, alg: SigningAlg, resource_id: str | None) -> Signer:
        """Return the active signer for a resource; raise TemporarilyUnavailable when there is none."""
        signer = self._loaded().signers.get(KeyGroup.of(workspace_id, alg, resource_id))
        if signer is None:
            raise TemporarilyUnavailable(f"no active {alg.value} key")
        return signer

    def verify(self, token: str) -> AccessToken:
        """Return the token that one of our keys has signed; raise UntrustedToken, or NotHeardOf, for any other text.

        Neither time nor revocation is judged: the caller does, on every call.
        """
        return self._loaded().verifier.verify(token)

    def jwks(self) -> bytes:
        """Return the JWK Set (RFC 7517 §5) with the next, active and retiring keys, public members only."""
        return self._loaded().jwks

    def jwks_digest(self) -> str:
        """Return what tells this JWK Set from any other: the first 16 hex digits of the SHA-256 of its bytes."""
        return sha256(self.jwks()).hexdigest()[:_DIGEST_CHARACTERS]

    def list(self) -> Sequence[SigningKey]:
        """Return all keys that are not gone, and those that were revoked."""
        return self._loaded().keys

    def export_pem(self, kid: str) -> str:
        """Return a public key in PEM; raise NotFound, or Conflict for an HS256 key, which has none."""
        key = self._key(kid)
        if key.public_jwk is None:
            raise Conflict("An HS256 key has no public part; export the secret of its resource instead.")
        return public_pem(key.public_jwk)

    def export_secret(self, kid: str) -> bytes:
        """Return the secret of an HS256 key, for its resource's services; raise NotFound, Conflict or SealBroken."""
        key = self._key(kid)
        if key.alg is not SigningAlg.HS256:
            raise Conflict("The private part of an asymmetric key never leaves the server.")
        return self._sealer.unseal(key.sealed_private, label=kid)

    # ── loading ──

    async def load(self) -> None:
        """Take over what the store holds; raise SealBroken or TemporarilyUnavailable and keep the earlier state."""
        async with self._loading:  # two loads at once could end with the older one in place
            keys = in_order(await self._store.all())
            if self._snapshot is None or self._snapshot.keys != keys:
                self._hold(await self._opened(keys, self._sealer))

    async def use(self, sealer: Sealer) -> None:
        """Seal and open with other secret keys from here on.

        Raises SealBroken when they do not open every key that is needed to sign, or TemporarilyUnavailable, and
        keeps the present ones.
        """
        async with self._writing, self._loading:  # no key is being sealed with the present ones
            self._hold(await self._opened(in_order(await self._store.all()), sealer))
            self._sealer = sealer

    def _hold(self, snapshot: KeySnapshot) -> None:
        before, self._snapshot = self._snapshot, snapshot
        if before is None or before.jwks != snapshot.jwks:
            self._published_at = uptime() if before else float("-inf")  # a process that starts has missed nothing
            self._published()

    async def _opened(self, keys: tuple[SigningKey, ...], sealer: Sealer) -> KeySnapshot:
        return await asyncio.to_thread(
            take_snapshot, keys, sealer=sealer, issuer=self._issuer, audience_of=self._audience_of
        )

    # ── changes ──

    async def ensure(self, *, workspace_id: str, alg: SigningAlg, resource_id: str | None = None) -> SigningKey:
        """Return the active key of a group; make its first pair when it has none."""
        group = KeyGroup.of(workspace_id, alg, resource_id)
        async with self._writing:
            active = in_state(self._group(group), KeyState.ACTIVE)
            if active is None:
                await self._commit(first_pair(group, self._seconds()))
                active = in_state(self._group(group), KeyState.ACTIVE)
        if active is None:
            raise TemporarilyUnavailable(f"no active {alg.value} key")
        return active

    async def rotate(
        self, *, workspace_id: str, alg: SigningAlg, resource_id: str | None = None, force: bool = False
    ) -> Sequence[SigningKey]:
        """Let the next key take over, now or as soon as verifiers know it; return the keys of the group.

        `force` does not wait for that, but for a quarter of a second after keys were published last. Of several calls
        at one moment, here or in other instances, one rotates and all return what it has done. Raises NotFound for a
        group without keys.
        """
        group = KeyGroup.of(workspace_id, alg, resource_id)
        seen = _signing_pair(self._group(group))
        if force:
            await asyncio.sleep(max(0.0, self._published_at + NOTICE_SECONDS - uptime()))
        async with self._writing:
            present = self._group(group)
            if _signing_pair(present) == seen:
                await self._commit(plan_rotation(present, self._seconds(), self._policy, force=force))
        return self._group(group)

    async def revoke(self, kid: str) -> Sequence[SigningKey]:
        """Withdraw a key in an emergency; return the keys of its group.

        Other than a rotation, it insists: somebody else's change of the same key is no reason to leave it
        believed. Raises NotFound, or Conflict after several attempts.
        """
        async with self._writing:
            await self.load()
            for _ in range(_REVOCATION_ATTEMPTS):
                group = KeyGroup.of_key(self._key(kid))
                change = plan_revocation(self._group(group), kid, self._seconds())
                if change is None or await self._commit(change):
                    return self._group(group)
        raise Conflict("The key is being changed by others. Repeat the revocation.")

    async def tick(self) -> None:
        """Do what is due by now in every group; cheap when nothing is. To be called every few seconds."""
        async with self._writing:
            now = self._seconds()
            for group in self._loaded().groups.values():
                await self._commit(plan_tick(group, now, self._policy))

    def shared_key(self, *, workspace_id: str, resource_id: str, secret: bytes | None = None) -> SigningKey:
        """Return the first key of an HS256 resource, not yet stored: the resource is stored with it.

        `secret` is one that its services have already; raises ValidationFailed below 32 bytes.
        """
        now = self._seconds()
        group = KeyGroup.of(workspace_id, SigningAlg.HS256, resource_id)
        birth = KeyBirth(group=group, state=KeyState.ACTIVE, published_at=now, activated_at=now)
        material = generate(SigningAlg.HS256) if secret is None else import_hs256(secret)
        return signing_key(birth, material, self._sealer)

    async def _commit(self, change: KeyChange | None) -> bool:
        """Apply a decision and load; False when another writer was faster and its state was loaded instead."""
        if change is None:
            return True
        newborn = await asyncio.to_thread(bear, change.births, self._sealer)
        try:
            await self._store.change(before=change.before, after=(*change.after, *newborn))
        except Conflict:
            await self.load()
            return False
        await self.load()
        return True

    def _loaded(self) -> KeySnapshot:
        if self._snapshot is None:
            raise TemporarilyUnavailable("the signing keys are not loaded yet")
        return self._snapshot

    def _group(self, group: KeyGroup) -> Sequence[SigningKey]:
        return self._loaded().groups.get(group, ())

    def _key(self, kid: str) -> SigningKey:
        key = next((key for key in self._loaded().keys if key.kid == kid), None)
        if key is None:
            raise NotFound("no signing key has this kid")
        return key

    def _seconds(self) -> int:
        return seconds(self._clock())


def _signing_pair(keys: Sequence[SigningKey]) -> tuple[SigningKey | None, SigningKey | None]:
    return in_state(keys, KeyState.ACTIVE), in_state(keys, KeyState.NEXT)
