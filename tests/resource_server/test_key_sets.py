"""The JWK Sets that a verifier takes: an odd key is left out and the others stay, whatever is odd about it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey

from authserver.core.resource import SigningAlg
from authserver.resource_server.check import Unreadable
from authserver.resource_server.key_set import MAX_KEYS, UnknownKey, public_keys
from tests.conformance.forge import encode
from tests.resource_server.issuer import Issuer, key_set

ES256 = frozenset((SigningAlg.ES256,))
P384: Any = ECKey.generate_key("P-384").as_dict(private=False)
X25519: Any = OKPKey.generate_key("X25519").as_dict(private=False)


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """Return the issuer whose key is not odd."""
    return Issuer()


def odd_keys(issuer: Issuer) -> list[Any]:
    """Return entries that are no key for verifying ES256 signatures."""
    odd = Issuer(kid="odd")
    private = {**odd.key.as_dict(private=True), "kid": "odd", "alg": "ES256"}
    return [
        private,
        odd.jwk(d=""),
        odd.jwk(use="enc"),
        odd.jwk(use=["sig"]),
        odd.jwk(key_ops=["sign"]),
        odd.jwk(key_ops=[]),
        odd.jwk(key_ops="verify"),
        {**odd.jwk(), "key_ops": None},
        odd.jwk(alg="ES384"),
        odd.jwk(alg="HS256"),
        odd.jwk(alg=["ES256"]),
        odd.jwk(kty="oct"),
        odd.jwk(kty=["EC"]),
        odd.jwk(kid=5),
        odd.jwk(kid=""),
        {name: value for name, value in odd.jwk().items() if name != "kid"},
        odd.jwk(x="AAAA"),
        odd.jwk(x=5),
        odd.jwk(x="é"),
        odd.jwk(y=odd.jwk()["x"]),
        odd.jwk(crv="P-384"),
        odd.jwk(crv={}),
        {**P384, "kid": "odd", "alg": "ES256"},
        {**X25519, "kid": "odd", "alg": "ES256"},
        {"kty": "oct", "kid": "odd", "alg": "HS256", "k": "A" * 43},
        {"kty": "oct", "kid": "odd", "k": "A" * 43},
        {"kty": "EC", "kid": "odd"},
        *(None, 5, "key", [], {}),
    ]


@pytest.mark.parametrize("number", range(32))
def test_jose_18_odd_keys_are_left_out(issuer: Issuer, number: int) -> None:
    """JOSE-18: a key that is private, for encryption, for signing, of another type, or broken leaves the others."""
    odd = odd_keys(issuer)
    assert len(odd) == 32
    for entries in ([odd[number], issuer.jwk()], [issuer.jwk(), odd[number]]):
        assert set(public_keys(json.dumps({"keys": entries}).encode(), ES256)) == {issuer.kid}
    assert issuer.check(odd[number], issuer.jwk()).verify(issuer.mint())


def test_jose_16_rsa_keys_of_odd_size() -> None:
    """JOSE-16: an exponent of 380 bytes, of 3, a modulus too small, too large or mis-spelt: each is left out."""
    good = Issuer(SigningAlg.RS256)
    honest = good.jwk()
    odd = [
        *({**honest, "e": e} for e in ("_" * 507, "Aw", "AQ", "AQAB=", "AAEAAQ", 65537, None)),
        *({**honest, "n": n} for n in ("_" * 171, "_" * 1366, honest["n"] + "=", 5, "é", "")),
        {name: value for name, value in honest.items() if name != "n"},
    ]
    for number, entry in enumerate(odd):
        document = json.dumps({"keys": [{**entry, "kid": "odd"}, honest]}).encode()
        assert set(public_keys(document, frozenset((SigningAlg.RS256,)))) == {good.kid}, number
    assert good.check(*odd, {**honest, "kid": "other"}).verify(good.mint(good.header(kid="other")))


def test_jose_19_a_key_without_alg_has_the_only_one_that_is_allowed(issuer: Issuer) -> None:
    """JOSE-19: a key that names no algorithm is used where there is one only, and left out where there are more."""
    assert issuer.check(issuer.jwk(alg=None)).verify(issuer.mint())
    with pytest.raises(UnknownKey):
        issuer.check(issuer.jwk(alg=None), algorithms=["ES256", "RS256"]).verify(issuer.mint())


def test_jose_20_an_encryption_key_is_no_fallback(issuer: Issuer) -> None:
    """JOSE-20: a token without `kid` is refused, though there is one key only, for encryption or for signatures."""
    for jwk in (issuer.jwk(use="enc"), issuer.jwk()):
        with pytest.raises(Unreadable):
            issuer.check(jwk).verify(issuer.mint(issuer.header(kid=None)))


def test_rot_06_two_keys_of_one_kid(issuer: Issuer) -> None:
    """ROT-06: of two keys with one kid neither is believed, whatever their order; the same twice is no exception."""
    other, third = Issuer(), Issuer(kid="third")
    for first, second in ((issuer, other), (other, issuer), (issuer, issuer)):
        check = issuer.check(first.jwk(), second.jwk(), third.jwk())
        for signer in (issuer, other):
            with pytest.raises(UnknownKey):
                check.verify(signer.mint())
        assert check.verify(third.mint())


def test_rot_06_an_hmac_key_takes_no_kid(issuer: Issuer) -> None:
    """ROT-06: a switch from ES256 to HS256 under one kid changes nothing: the `oct` key is left out."""
    secret = Issuer(SigningAlg.HS256)
    check = issuer.check(secret.jwk(), issuer.jwk())
    assert check.verify(issuer.mint())
    with pytest.raises(Unreadable):
        check.verify(secret.mint())


@pytest.mark.parametrize(
    "document",
    [
        *(b"", b"{", b"null", b"5", b"[]", b"{}", b'{"keys":null}', b'{"keys":{}}', b'{"keys":"x"}', b"\xff"),
        *(b"[" * 500_000, b'{"keys":' * 100_000, json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode()),
    ],
)
def test_what_is_no_key_set(document: bytes) -> None:
    """RFC 7517 §5: anything else is refused as a whole, and nothing but ValueError is raised."""
    with pytest.raises(ValueError, match=r"."):
        public_keys(document, ES256)


def test_what_old_keys_found_good_is_forgotten_with_them(issuer: Issuer) -> None:
    """A token that was remembered is refused once its key is no longer published."""
    check, token = issuer.check(), issuer.mint()
    assert check.verify(token)
    check.replace_keys(key_set(check.config, Issuer(kid="new").jwk()))
    with pytest.raises(UnknownKey):
        check.verify(token)


def test_headers_of_strangers_take_no_memory(issuer: Issuer) -> None:
    """Headers are remembered of good signatures alone, and of few of them: whatever is sent, the honest ones count."""
    check = issuer.check()
    assert check.keys is not None
    for number in range(300):
        with pytest.raises(Unreadable):
            check.verify(f"{encode(issuer.header(x=number))}.AAAA.AAAA")
        with pytest.raises(UnknownKey):
            check.verify(f"{encode(issuer.header(kid=str(number)))}.AAAA.AAAA")
    assert len(check.keys._by_header) == 0
    honest = issuer.mint()
    assert check.verify(honest)
    assert list(check.keys._by_header) == [honest.partition(".")[0]]
    for number in range(300):
        assert check.verify(issuer.mint(header=issuer.header(x=number)))
    assert len(check.keys._by_header) == 256
