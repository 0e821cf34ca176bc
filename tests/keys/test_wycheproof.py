"""JOSE-15: project Wycheproof's JWS vectors, through the function that opens every access token."""

from __future__ import annotations

from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey

from authserver.core.resource import SigningAlg
from authserver.jose.compact import JwsKey, open_compact
from authserver.jose.errors import UntrustedToken
from authserver.keys.material import open_public
from tests.keys.wycheproof import assert_judged_rightly, header_of, needs_vectors


def is_good(jwk: dict[str, Any], token: str) -> bool:
    """Publish the key under its own alg and kid, in whatever spelling the vector gives that header; open the token."""
    header = header_of(token)
    try:
        alg = SigningAlg(str(jwk.get("alg", header.get("alg"))))
        expected = {"alg": alg.value, "kid": jwk["kid"]}
        trusted = {token.partition(".")[0]: (JwsKey(alg, opened(jwk)), None)} if header == expected else {}
        open_compact(token, trusted.get)
    except (UntrustedToken, JoseError, ValueError):
        return False
    return True


def opened(jwk: dict[str, Any]) -> Key:
    """Open the vector's key."""
    return OctKey.import_key(jwk) if jwk["kty"] == "oct" else open_public(jwk)


@needs_vectors
def test_jose_15_every_vector() -> None:
    """JOSE-15: all vectors of our algorithms are judged rightly; every other algorithm is refused."""
    assert_judged_rightly(is_good)
