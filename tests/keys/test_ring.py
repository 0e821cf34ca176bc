"""The key ring on a store, alone and as one of several instances."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest

from authserver.core.errors import Conflict, NotFound, ServerError, TemporarilyUnavailable, ValidationFailed
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState, SigningKey
from authserver.keys.errors import SealBroken, TokenRefused
from authserver.keys.sealing import Sealer
from tests.keys.deployment import POLICY, SECRET_KEY, Deployment, MemoryKeyStore, only

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def published(jwks: bytes) -> list[str]:
    """Return the kids of a JWK Set."""
    return [key["kid"] for key in json.loads(jwks)["keys"]]


def test_jwks_holds_public_members_of_asymmetric_keys_only() -> None:
    """RFC 7517 §5: no HS256 key and no private member is ever published, in any state."""

    async def scenario() -> None:
        deployment = Deployment()
        ring = await deployment.started(*SigningAlg)
        await ring.rotate(workspace_id="default", alg=SigningAlg.ES256)
        await ring.rotate(workspace_id="default", alg=SigningAlg.HS256, resource_id="res_api")
        keys = json.loads(ring.jwks())["keys"]
        assert not any(PRIVATE_MEMBERS & set(key) for key in keys)
        shared = {key.kid for key in ring.list() if key.alg is SigningAlg.HS256}
        assert len(shared) == 3
        assert {key["kid"] for key in keys} == {key.kid for key in ring.list()} - shared

    asyncio.run(scenario())


def test_jwks_leaves_out_what_a_stored_key_should_not_hold() -> None:
    """A private member that found its way into the stored public key is not published."""

    async def scenario() -> None:
        deployment = Deployment()
        await deployment.started()
        for key in deployment.store.keys.values():
            assert isinstance(key.public_jwk, dict)
            key.public_jwk["d"] = "AAAA"
        ring = await deployment.started()
        assert b'"d"' not in ring.jwks()

    asyncio.run(scenario())


def test_nothing_is_guessed_before_the_first_load() -> None:
    """P3: a ring that has loaded nothing calls itself unavailable; it does not call a token invalid."""
    ring = Deployment().instance()
    for call in (ring.jwks, ring.list, lambda: ring.verify("a.b.c")):
        with pytest.raises(TemporarilyUnavailable):
            call()


def test_an_algorithm_without_keys_is_unavailable() -> None:
    """A signer that does not exist is a 503, not a signer of another kind."""
    ring = asyncio.run(Deployment().started())
    for alg, resource_id in ((SigningAlg.RS256, None), (SigningAlg.HS256, "res_api")):
        with pytest.raises(TemporarilyUnavailable):
            ring.signer_for(workspace_id="default", alg=alg, resource_id=resource_id)


def test_ensure_makes_one_pair_however_often() -> None:
    """Ten instances that start at one moment on an empty store agree on one pair of keys."""

    async def scenario() -> None:
        deployment = Deployment()
        rings = [deployment.instance() for _ in range(10)]
        await asyncio.gather(*(ring.load() for ring in rings))
        active = await asyncio.gather(*(ring.ensure(workspace_id="default", alg=SigningAlg.ES256) for ring in rings))
        assert len({key.kid for key in active}) == 1
        assert len(deployment.store.keys) == 2

    asyncio.run(scenario())


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
        with pytest.raises(TokenRefused):
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
            with pytest.raises(TokenRefused):
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


def test_a_lost_secret_key_is_reported_with_every_key_needed() -> None:
    """A start with another secret key names all keys that it cannot sign with, and keeps the earlier state."""

    async def scenario() -> None:
        deployment = Deployment()
        await deployment.started()
        ring = deployment.instance(Sealer(["another secret key of 32 characters or more"]))
        with pytest.raises(SealBroken) as caught:
            await ring.load()
        assert set(caught.value.labels) == set(deployment.store.keys)
        rescued = deployment.instance(Sealer(["another secret key of 32 characters or more", SECRET_KEY]))
        await rescued.load()

    asyncio.run(scenario())


def test_a_lost_retiring_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A retiring HS256 key that does not open costs its own tokens and a log line, not the start."""

    async def scenario() -> None:
        deployment = Deployment()
        ring = await deployment.started(SigningAlg.HS256)
        token = deployment.token(ring, SigningAlg.HS256)
        keys = await ring.rotate(workspace_id="default", alg=SigningAlg.HS256, resource_id="res_api")
        retiring = only(keys, KeyState.RETIRING)
        damaged = Sealer(["another secret key of 32 characters or more"]).seal(b"s" * 32, label=retiring.kid)
        deployment.store.keys[retiring.kid] = replace(retiring, sealed_private=damaged)
        await ring.load()
        with pytest.raises(TokenRefused):
            ring.verify(token)
        ring.verify(deployment.token(ring, SigningAlg.HS256))

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    assert "cannot be decrypted" in caplog.text


def test_a_resource_brings_its_own_secret() -> None:
    """An HS256 secret imported with its resource signs, and the operator can read it back for the services."""

    async def scenario() -> None:
        deployment = Deployment()
        ring = await deployment.started()
        key = ring.shared_key(workspace_id="default", resource_id="res_api", secret=b"s" * 32)
        await deployment.store.change(before=(), after=(key,))
        await ring.load()
        assert ring.verify(deployment.token(ring, SigningAlg.HS256)).kid == key.kid
        assert ring.export_secret(key.kid) == b"s" * 32
        with pytest.raises(ValidationFailed):
            ring.shared_key(workspace_id="default", resource_id="res_api", secret=b"short")

    asyncio.run(scenario())


def test_a_kid_stands_for_one_key_only() -> None:
    """ROT-06: a stored key whose public or private part was exchanged for another's stops the load."""

    async def scenario() -> None:
        deployment = Deployment()
        ring = await deployment.started()
        active, upcoming = only(ring.list(), KeyState.ACTIVE), only(ring.list(), KeyState.NEXT)
        private = deployment.sealer.unseal(upcoming.sealed_private, label=upcoming.kid)
        for exchanged in (
            replace(active, public_jwk=upcoming.public_jwk),
            replace(active, sealed_private=deployment.sealer.seal(private, label=active.kid)),
        ):
            deployment.store.keys[active.kid] = exchanged
            with pytest.raises(ServerError, match="material of another key"):
                await deployment.instance().load()

    asyncio.run(scenario())


def test_exports_keep_private_parts_inside() -> None:
    """An asymmetric private part cannot be exported, an HS256 key has no PEM, and an unknown kid is not found."""

    async def scenario() -> None:
        ring = await Deployment().started(SigningAlg.ES256, SigningAlg.HS256)
        asymmetric = next(key.kid for key in ring.list() if key.alg is SigningAlg.ES256)
        shared = next(key.kid for key in ring.list() if key.alg is SigningAlg.HS256)
        with pytest.raises(Conflict):
            ring.export_secret(asymmetric)
        with pytest.raises(Conflict):
            ring.export_pem(shared)
        with pytest.raises(NotFound):
            ring.export_pem("other")

    asyncio.run(scenario())


def test_a_load_that_changes_nothing_forgets_nothing() -> None:
    """Verified tokens stay in memory when the keys are the same, and are forgotten with the first change."""

    async def scenario() -> None:
        deployment = Deployment()
        ring = await deployment.started()
        token = deployment.token(ring)
        first = ring.verify(token)
        await ring.load()
        assert ring.verify(token) is first
        await ring.rotate(workspace_id="default", alg=SigningAlg.ES256)
        assert ring.verify(token) is not first

    asyncio.run(scenario())
