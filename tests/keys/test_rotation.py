"""Rotation and revocation through the key ring, alone and as one of several instances."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from authserver.core.errors import Conflict, TemporarilyUnavailable
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState, SigningKey
from authserver.jose.errors import UntrustedToken
from authserver.keys.ring import NOTICE_SECONDS
from tests.keys.deployment import POLICY, Deployment, MemoryKeyStore, only


def published(jwks: bytes) -> list[str]:
    """Return the kids of a JWK Set."""
    return [key["kid"] for key in json.loads(jwks)["keys"]]


@pytest.mark.parametrize("instances", [1, 2, 10])
def test_rot_01_one_rotation_wins(instances: int) -> None:
    """ROT-01: of ten rotations at one moment, in one instance or in many, one makes a key and all agree on it."""

    async def scenario() -> None:
        deployment = Deployment()
        rings = [await deployment.started() for _ in range(instances)]
        outcomes = await asyncio.gather(
            *(rings[n % instances].rotate(workspace_id="default", alg=SigningAlg.ES256) for n in range(10))
        )
        assert len(deployment.store.keys) == 3
        assert len({only(keys, KeyState.ACTIVE).kid for keys in outcomes}) == 1
        assert all(only(keys, KeyState.NEXT).activate_at is None for keys in outcomes)

    asyncio.run(scenario())


def test_rot_02_the_first_token_of_a_new_key_verifies_with_a_cached_jwks() -> None:
    """ROT-02: a JWKS fetched before a rotation holds the key that signs after it, now and on the next schedule."""

    async def scenario() -> None:
        deployment = Deployment()
        ring = await deployment.started()
        for _ in range(3):
            cached = published(ring.jwks())
            await ring.rotate(workspace_id="default", alg=SigningAlg.ES256)
            assert ring.verify(deployment.token(ring)).kid in cached
            deployment.advance(POLICY.publish_lead_seconds + 1)
            await ring.tick()

    asyncio.run(scenario())


def test_rot_03_old_tokens_verify_until_they_expire() -> None:
    """ROT-03: a token signed in the last second of a key verifies until it expires; then the key leaves the JWKS."""

    async def scenario() -> None:
        deployment = Deployment()
        ring = await deployment.started()
        token = deployment.token(ring)
        kid = ring.verify(token).kid
        await ring.rotate(workspace_id="default", alg=SigningAlg.ES256)
        deployment.advance(POLICY.longest_token_seconds)
        await ring.tick()
        assert ring.verify(token).kid == kid
        deployment.advance(POLICY.leeway_seconds)
        await ring.tick()
        assert kid not in published(ring.jwks())
        with pytest.raises(UntrustedToken):
            ring.verify(token)

    asyncio.run(scenario())


def test_rot_04_a_revoked_key_refuses_its_tokens_at_once() -> None:
    """ROT-04: after a revocation returns, a token seen as good before is refused and new ones have another key."""

    async def scenario() -> None:
        deployment = Deployment()
        ring, other = await deployment.started(), await deployment.started()
        token = deployment.token(ring)
        kid = ring.verify(token).kid
        other.verify(token)
        keys = await ring.revoke(kid)
        await other.load()
        assert only(keys, KeyState.ACTIVE).kid != kid
        for instance in (ring, other):
            assert kid not in published(instance.jwks())
            with pytest.raises(UntrustedToken):
                instance.verify(token)
        await ring.revoke(kid)
        assert ring.verify(deployment.token(ring)).kid == only(ring.list(), KeyState.ACTIVE).kid

    asyncio.run(scenario())


def test_a_revocation_is_not_lost_to_a_rotation() -> None:
    """ROT-04: a key that another instance is just rotating is revoked all the same."""

    async def scenario() -> None:
        deployment = Deployment()
        rings = [await deployment.started() for _ in range(4)]
        kid = only(rings[0].list(), KeyState.ACTIVE).kid
        await asyncio.gather(
            *(ring.rotate(workspace_id="default", alg=SigningAlg.ES256) for ring in rings[1:]), rings[0].revoke(kid)
        )
        assert deployment.store.keys[kid].revoked_at is not None

    asyncio.run(scenario())


def test_a_revocation_that_cannot_win_is_an_error() -> None:
    """A revocation that never reached the store says so; it does not return."""

    class Busy(MemoryKeyStore):
        async def change(self, *, before: Sequence[SigningKey], after: Sequence[SigningKey]) -> None:
            raise Conflict(f"busy with {len(before)} of {len(after)} keys")

    async def scenario() -> None:
        deployment = Deployment()
        kid = only((await deployment.started()).list(), KeyState.ACTIVE).kid
        busy = Busy()
        busy.keys, deployment.store = deployment.store.keys, busy
        ring = await deployment.started()
        with pytest.raises(Conflict):
            await ring.revoke(kid)

    asyncio.run(scenario())


@pytest.mark.parametrize("written", [True, False])
def test_crash_02_a_write_cut_short_leaves_the_old_or_the_new_state(*, written: bool) -> None:
    """CRASH-02: whether the store failed before or after its commit, there is exactly one active key after it."""

    class Failing(MemoryKeyStore):
        async def change(self, *, before: Sequence[SigningKey], after: Sequence[SigningKey]) -> None:
            if written:
                await super().change(before=before, after=after)
            raise TemporarilyUnavailable("the database went away")

    async def scenario() -> None:
        deployment = Deployment()
        await deployment.started()
        whole, failing = deployment.store, Failing()
        failing.keys, deployment.store = whole.keys, failing
        ring = await deployment.started()
        with pytest.raises(TemporarilyUnavailable):
            await ring.rotate(workspace_id="default", alg=SigningAlg.ES256)
        whole.keys, deployment.store = failing.keys, whole
        again = await deployment.started()
        only(again.list(), KeyState.ACTIVE)
        only(again.list(), KeyState.NEXT)
        assert len(again.list()) == (3 if written else 2)

    asyncio.run(scenario())


def test_a_scheduled_rotation_is_done_by_one_tick() -> None:
    """Ten instances that tick at one moment perform a due rotation once."""

    async def scenario() -> None:
        deployment = Deployment()
        rings = [await deployment.started() for _ in range(10)]
        deployment.advance(POLICY.rotate_every_seconds)
        await asyncio.gather(*(ring.tick() for ring in rings))
        assert len(deployment.store.keys) == 3
        assert len({only(ring.list(), KeyState.ACTIVE).kid for ring in rings}) == 1

    asyncio.run(scenario())


def test_no_key_signs_as_soon_as_it_is_published() -> None:
    """ROT-02: of two forced rotations in a row the second waits until verifiers have had time to fetch its key."""

    async def scenario() -> None:
        ring = await Deployment().started()
        for _ in range(2):
            published_at = asyncio.get_running_loop().time()
            await ring.rotate(workspace_id="default", alg=SigningAlg.ES256, force=True)
        assert asyncio.get_running_loop().time() - published_at >= 0.9 * NOTICE_SECONDS

    asyncio.run(scenario())
