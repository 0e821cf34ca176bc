"""Key material: made, opened, published."""

from __future__ import annotations

import re

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from authserver.core.errors import ServerError, ValidationFailed
from authserver.core.resource import SigningAlg
from authserver.keys.material import KeyMaterial, generate, import_hs256, open_private, open_public, public_pem

ASYMMETRIC = [alg for alg in SigningAlg if alg is not SigningAlg.HS256]
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


@pytest.fixture(scope="module")
def material() -> dict[SigningAlg, KeyMaterial]:
    """One key for each algorithm."""
    return {alg: generate(alg) for alg in SigningAlg}


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_public_jwk_is_complete_and_public(alg: SigningAlg, material: dict[SigningAlg, KeyMaterial]) -> None:
    """RFC 7517 §4: kty, use, alg and kid are there, private members are not; the kid is the RFC 7638 thumbprint."""
    jwk = material[alg].public_jwk
    assert jwk is not None
    assert (jwk["use"], jwk["alg"], jwk["kid"]) == ("sig", alg.value, open_public(jwk).thumbprint())
    assert not PRIVATE_MEMBERS & set(jwk)
    assert jwk.get("e", "AQAB") == "AQAB"


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_public_pem_is_a_public_key(alg: SigningAlg, material: dict[SigningAlg, KeyMaterial]) -> None:
    """A proxy without JWKS reads the PEM with any library."""
    jwk = material[alg].public_jwk
    assert jwk is not None
    pem = public_pem(jwk)
    assert pem.startswith("-----BEGIN PUBLIC KEY-----")
    load_pem_public_key(pem.encode())


def test_hs256_has_a_random_kid_and_no_public_part() -> None:
    """The kid of an HS256 key says nothing about the secret: the same secret gets another one."""
    first, second = import_hs256(b"s" * 32), import_hs256(b"s" * 32)
    assert first.public_jwk is None
    assert first.kid != second.kid
    assert re.fullmatch(r"[A-Za-z0-9_-]+", first.kid)
    assert len(generate(SigningAlg.HS256).private) >= 32


def test_no_kid_reads_like_an_option() -> None:
    """Of thumbprints as they come, 8 in 512 would begin with a dash, and a command line would refuse them."""
    assert not [kid for kid in (generate(SigningAlg.ED25519).kid for _ in range(512)) if kid.startswith("-")]


def test_a_short_hs256_secret_is_refused() -> None:
    """RFC 7518 §3.2: an HS256 secret has at least 256 bits."""
    with pytest.raises(ValidationFailed) as caught:
        import_hs256(b"s" * 31)
    assert caught.value.problems[0].field == "signing_secret"


@pytest.mark.parametrize("text", [b"", b"-----BEGIN PRIVATE KEY-----\nMIG", b"-----BEGIN PUBLIC KEY-----", b"s" * 32])
@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_damaged_key_text_never_becomes_a_secret(alg: SigningAlg, text: bytes) -> None:
    """JOSE-14: a truncated PEM is an error, not an HMAC key that anybody can guess."""
    with pytest.raises(ServerError):
        open_private(alg, text)


def test_a_key_of_another_type_is_refused(material: dict[SigningAlg, KeyMaterial]) -> None:
    """JOSE-19: a key made for one algorithm does not open for another type of key."""
    with pytest.raises(ServerError, match="another type"):
        open_private(SigningAlg.ES256, material[SigningAlg.ED25519].private)
    with pytest.raises(ServerError, match="unknown type"):
        open_public({"kty": "oct", "k": "c2VjcmV0"})


def test_no_private_part_in_repr(material: dict[SigningAlg, KeyMaterial]) -> None:
    """U4: material in a log line shows no private part."""
    for made in material.values():
        assert "private" not in repr(made)
