"""Tokens signed here, read here and by others."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from jwt.algorithms import OKPAlgorithm

from authserver.core.resource import SigningAlg, TokenType
from authserver.jose.errors import UntrustedToken
from authserver.keys.errors import NotHeardOf
from authserver.keys.ring import KeyRing
from authserver.keys.signer import header_segment
from tests.keys.deployment import API, ISSUER, START, Deployment

ASYMMETRIC = [alg for alg in SigningAlg if alg is not SigningAlg.HS256]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class Signing:
    """A deployment and an instance with keys of all algorithms."""

    deployment: Deployment
    ring: KeyRing


@pytest.fixture(scope="module")
def signing() -> Signing:
    """Make one key pair for each algorithm, once: RSA is slow."""
    deployment = Deployment()
    return Signing(deployment, asyncio.run(deployment.started(*SigningAlg)))


def pyjwt(algorithm: str) -> jwt.PyJWS:
    """Return PyJWT, which knows Ed25519 (RFC 9864) by its older name EdDSA only."""
    jws = jwt.PyJWS()
    if algorithm == "Ed25519":
        jws.register_algorithm("Ed25519", OKPAlgorithm())
    return jws


@pytest.mark.parametrize("typ", TokenType)
@pytest.mark.parametrize("alg", SigningAlg)
def test_round_trip(signing: Signing, alg: SigningAlg, typ: TokenType) -> None:
    """RFC 9068 §2.2: every member that was signed is read back, with the key and `typ` that it was signed with."""
    signer = signing.ring.signer_for(workspace_id="default", alg=alg, resource_id="res_api")
    claims = signing.deployment.claims(nbf=None)
    token = signing.ring.verify(signer.sign(claims, typ))
    assert dict(token.claims) == claims
    assert (token.kid, token.typ, token.issuer, token.audience) == (signer.kid, typ, ISSUER, (API,))
    assert (token.subject, token.client_id, token.scope) == ("cl_1", "cl_1", "read write")
    assert (token.issued_at, token.not_before, token.expires_at) == (START, START, START + 3600)
    assert (token.jti, token.workspace_id, token.credential_id) == (claims["jti"], "default", "cr_1")


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_pyjwt_verifies_from_the_jwks(signing: Signing, alg: SigningAlg) -> None:
    """A library that nobody here wrote finds the key by kid and verifies the token."""
    token = signing.deployment.token(signing.ring, alg)
    keys = {key["kid"]: key for key in json.loads(signing.ring.jwks())["keys"]}
    published = keys[jwt.get_unverified_header(token)["kid"]]
    key = jwt.PyJWK(published, algorithm="EdDSA" if alg is SigningAlg.ED25519 else alg.value).key
    assert json.loads(pyjwt(alg.value).decode(token, key, algorithms=[alg.value]))["user_id"] == "user-1"


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_pyjwt_verifies_from_the_pem(signing: Signing, alg: SigningAlg) -> None:
    """The exported PEM verifies what the key signs."""
    token = signing.deployment.token(signing.ring, alg)
    pem = signing.ring.export_pem(jwt.get_unverified_header(token)["kid"])
    assert json.loads(pyjwt(alg.value).decode(token, pem, algorithms=[alg.value]))["iss"] == ISSUER


def test_header_is_a_contract() -> None:
    """The header's bytes never change between releases, or tokens in use would be refused after an upgrade."""
    segment = header_segment("k1", SigningAlg.ES256, TokenType.AT_JWT)
    assert base64.urlsafe_b64decode(segment + "==") == b'{"alg":"ES256","kid":"k1","typ":"at+jwt"}'


def test_a_malleated_signature_has_the_same_jti(signing: Signing) -> None:
    """JOSE-09: `s → n - s` still verifies, and to the same jti, which is what a revocation names."""
    token = signing.deployment.token(signing.ring)
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    other = raw[:32] + (P256_ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    malleated = f"{signed}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}"
    assert malleated != token
    assert signing.ring.verify(malleated).jti == signing.ring.verify(token).jti


def test_a_second_check_costs_no_signature(signing: Signing) -> None:
    """A token seen before is answered from memory: the very same value, never keyed by the token's text."""
    token = signing.deployment.token(signing.ring)
    assert signing.ring.verify(token) is signing.ring.verify(token)
    verifier = signing.ring._loaded().verifier
    assert all(isinstance(key, bytes) and len(key) == 32 for key in verifier._cache)


def test_the_memory_is_bounded() -> None:
    """Ten thousand distinct tokens are remembered in 8,192 places, the least recently used one leaving first."""
    deployment = Deployment()
    ring = asyncio.run(deployment.started(SigningAlg.HS256))
    tokens = [deployment.token(ring, SigningAlg.HS256, number=n) for n in range(10_000)]
    popular, rare = ring.verify(tokens[0]), ring.verify(tokens[1])
    for token in tokens[2:]:
        ring.verify(token)
        ring.verify(tokens[0])
    assert len(ring._loaded().verifier._cache) == 8_192
    assert ring.verify(tokens[0]) is popular
    assert ring.verify(tokens[1]) is not rare


def test_claims_read_cannot_be_changed(signing: Signing) -> None:
    """A remembered token is shared by requests: none of them can alter it."""
    claims: Any = signing.ring.verify(signing.deployment.token(signing.ring)).claims
    with pytest.raises(TypeError):
        claims["sub"] = "root"


def test_a_shared_secret_is_good_for_its_own_audience_only(signing: Signing) -> None:
    """A service that holds an HS256 secret cannot sign for the management API, itself included in the audience."""
    for audience in ("urn:authserver:admin", [API, "urn:authserver:admin"]):
        forged = signing.deployment.token(signing.ring, SigningAlg.HS256, aud=audience)
        with pytest.raises(UntrustedToken, match="audience"):
            signing.ring.verify(forged)
    signing.ring.verify(signing.deployment.token(signing.ring, SigningAlg.HS256, aud=[API]))


def test_a_shared_secret_of_a_deleted_resource_is_good_for_nothing() -> None:
    """A token remembered as good is refused as soon as its HS256 resource is gone."""
    deployment = Deployment()
    ring = asyncio.run(deployment.started(SigningAlg.HS256))
    token = deployment.token(ring, SigningAlg.HS256)
    ring.verify(token)
    deployment.identifiers.clear()
    with pytest.raises(NotHeardOf, match="resource"):
        ring.verify(token)


@pytest.mark.parametrize(
    ("header", "unheard_of"),
    [
        ({"alg": "ES256", "kid": "k", "typ": "at+jwt"}, True),
        ({"alg": "HS256", "kid": "k", "typ": "JWT"}, True),
        ({"kid": "k", "alg": "ES256", "typ": "at+jwt"}, False),
        ({"alg": "ES256", "kid": "k", "typ": "at+jwt", "crit": "x"}, False),
        ({"alg": "none", "kid": "k", "typ": "at+jwt"}, False),
        ({"alg": "ES256", "kid": 5, "typ": "at+jwt"}, False),
        ({"alg": "ES256", "kid": "k" * 200, "typ": "at+jwt"}, False),
        (["alg"], False),
    ],
)
def test_what_may_be_of_a_key_that_is_not_known_here(signing: Signing, header: object, unheard_of: bool) -> None:  # noqa: FBT001
    """Only a header that we would write ourselves: nothing else is worth a question to the database."""
    segment = base64.urlsafe_b64encode(json.dumps(header, separators=(",", ":")).encode()).rstrip(b"=").decode()
    with pytest.raises(UntrustedToken) as refused:
        signing.ring.verify(f"{segment}.e30.AAAA")
    assert isinstance(refused.value, NotHeardOf) is unheard_of


def test_a_key_is_good_for_its_own_workspace_only(signing: Signing) -> None:
    """A key of one workspace cannot sign a token of another."""
    with pytest.raises(UntrustedToken, match="workspace"):
        signing.ring.verify(signing.deployment.token(signing.ring, workspace_id="other"))
