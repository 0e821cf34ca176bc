"""The key ring: what it holds, publishes, signs with and gives away."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace

import pytest

from authserver.core.errors import Conflict, NotFound, ServerError, TemporarilyUnavailable, ValidationFailed
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState
from authserver.jose.errors import UntrustedToken
from authserver.keys.errors import SealBroken
from authserver.keys.ring import KeyRing
from authserver.keys.sealing import Sealer
from tests.keys.deployment import SECRET_KEY, Deployment, only

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


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


def test_whoever_waits_is_told_of_other_published_keys() -> None:
    """Each change of the JWK Set is told once, wherever it was made; a load without one, and HS256 keys, are not."""

    async def scenario() -> None:
        deployment, digests = Deployment(), [""]
        ring = await deployment.started()
        other = deployment.instance(published=lambda: digests.append(other.jwks_digest()))
        for change in (
            lambda: ring.ensure(workspace_id="default", alg=SigningAlg.RS256),
            lambda: ring.ensure(workspace_id="default", alg=SigningAlg.HS256, resource_id="res_api"),
            lambda: other.rotate(workspace_id="default", alg=SigningAlg.ES256, force=True),
            lambda: ring.revoke(only_active(ring)),
            ring.load,
        ):
            await other.load()
            await change()
            await other.load()
            assert digests[-1] == other.jwks_digest()
        await other.use(Sealer(("another secret key of 32 characters or more", SECRET_KEY)))
        assert len(digests) == len(set(digests)) == 1 + 1 + 3
        await ring.load()
        assert ring.jwks_digest() == digests[-1]

    def only_active(ring: KeyRing) -> str:
        return next(key.kid for key in ring.list() if (key.alg, key.state) == (SigningAlg.ES256, KeyState.ACTIVE))

    asyncio.run(scenario())


def test_nothing_is_guessed_before_the_first_load() -> None:
    """P3: a ring that has loaded nothing calls itself unavailable; it does not call a token invalid."""
    ring = Deployment().instance()
    for call in (ring.jwks, ring.jwks_digest, ring.list, lambda: ring.verify("a.b.c")):
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
        with pytest.raises(UntrustedToken):
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
