"""Key material: made, opened and published (RFC 7517, RFC 7518 §6, RFC 8037, RFC 9864).

Private parts are PKCS #8 DER, or the bytes of an HS256 secret. Each is opened by the one reader that its
algorithm asks for and the type is checked: a reader that guesses takes a damaged PEM for an HMAC secret.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from authserver.core.errors import ServerError, ValidationFailed
from authserver.core.identifiers import new_id
from authserver.core.resource import SigningAlg

MIN_HS256_BYTES = 32
RSA_BITS = 2048

_SHARED_KID_PREFIX = "hs"

#: The members of a public JWK that a verifier needs, by key type (RFC 7518 §6.2.1 and §6.3.1, RFC 8037 §2).
_PUBLIC_MEMBERS: Mapping[str, tuple[str, ...]] = {"EC": ("crv", "x", "y"), "RSA": ("n", "e"), "OKP": ("crv", "x")}

_PUBLIC_CLASSES: Mapping[str, type[ECKey | RSAKey | OKPKey]] = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMaterial:
    """A key just made: `private` is to be sealed at once; `public_jwk` is None for HS256."""

    kid: str
    private: bytes = field(repr=False)
    public_jwk: Mapping[str, str] | None


def generate(alg: SigningAlg) -> KeyMaterial:
    """Make a new key. RSA takes up to a second: call it in a thread.

    The kid of an asymmetric key is its thumbprint (RFC 7638); that of an HS256 key is random, because a
    digest of a secret says something about it. No kid begins with a dash, as one thumbprint of 64 does:
    `authserver keys revoke KID` would take it for an option, in an emergency at that.
    """
    key: ECKey | RSAKey | OKPKey
    match alg:
        case SigningAlg.HS256:
            return import_hs256(os.urandom(MIN_HS256_BYTES))
        case SigningAlg.ES256:
            key = ECKey.generate_key("P-256")
        case SigningAlg.ED25519:
            key = OKPKey.generate_key("Ed25519")
        case SigningAlg.RS256 | SigningAlg.PS256:
            key = RSAKey.generate_key(RSA_BITS)
    kid = key.thumbprint()
    if kid.startswith("-"):
        return generate(alg)
    return KeyMaterial(kid=kid, private=key.as_der(private=True), public_jwk=_public_jwk(key, alg, kid))


def import_hs256(secret: bytes) -> KeyMaterial:
    """Wrap a secret that the resource knows already; raise ValidationFailed below 32 bytes (RFC 7518 §3.2)."""
    if len(secret) < MIN_HS256_BYTES:
        raise ValidationFailed.of("signing_secret", f"shorter than {MIN_HS256_BYTES} bytes")
    return KeyMaterial(kid=new_id(_SHARED_KID_PREFIX), private=secret, public_jwk=None)


def open_private(alg: SigningAlg, private: bytes) -> Key:
    """Return the key that signs; raise ServerError when the bytes are no key for `alg`."""
    if alg is SigningAlg.HS256:
        return OctKey.import_key(private, {"alg": alg.value, "use": "sig"})
    try:
        # The seal has vouched for these bytes: proving an RSA key prime again would cost 70 ms at each start.
        native = load_der_private_key(private, password=None, unsafe_skip_rsa_key_validation=True)
    except ValueError as error:
        raise ServerError(f"the private part of a key for {alg.value} is damaged") from error
    parameters: Any = {"alg": alg.value, "use": "sig"}
    match alg, native:
        case SigningAlg.ES256, EllipticCurvePrivateKey():
            return ECKey.import_key(native, parameters)
        case SigningAlg.ED25519, Ed25519PrivateKey():
            return OKPKey.import_key(native, parameters)
        case ((SigningAlg.RS256 | SigningAlg.PS256), RSAPrivateKey()):
            return RSAKey.import_key(native, parameters)
    raise ServerError(f"the private part of a key for {alg.value} is of another type")


def open_public(public_jwk: Mapping[str, Any]) -> ECKey | RSAKey | OKPKey:
    """Return the key that verifies, from a public JWK of an asymmetric type; raise ServerError for any other."""
    key_class = _PUBLIC_CLASSES.get(public_jwk["kty"])
    if key_class is None:
        raise ServerError("a public key is of an unknown type")
    return key_class.import_key(dict(public_jwk))


def published(public_jwk: Mapping[str, str]) -> dict[str, str]:
    """Return the members for the JWKS: those listed here, whatever else the stored key may hold."""
    names = ("kty", "use", "alg", "kid", *_PUBLIC_MEMBERS[public_jwk["kty"]])
    return {name: public_jwk[name] for name in names}


def public_pem(public_jwk: Mapping[str, str]) -> str:
    """Return the SubjectPublicKeyInfo in PEM (RFC 7468 §13), for proxies that take no JWKS."""
    return open_public(public_jwk).as_pem(private=False).decode("ascii")


def _public_jwk(key: ECKey | RSAKey | OKPKey, alg: SigningAlg, kid: str) -> dict[str, str]:
    members = {name: str(value) for name, value in key.as_dict(private=False).items()}
    return published({**members, "use": "sig", "alg": alg.value, "kid": kid})
