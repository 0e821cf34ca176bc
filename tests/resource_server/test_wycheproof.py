"""JOSE-15: project Wycheproof's JWS vectors, through the doors of the library: its key import and its check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from authserver.core.resource import SigningAlg
from authserver.jose.compact import JwsKey, decode_segment, open_compact
from authserver.jose.errors import UntrustedToken
from authserver.resource_server.check import TokenCheck
from authserver.resource_server.errors import InvalidToken
from authserver.resource_server.key_set import KeySet, UnknownKey, public_keys, shared_keys
from authserver.resource_server.strict_json import read_object
from tests.keys.wycheproof import assert_judged_rightly, header_of, needs_vectors, vectors
from tests.resource_server.issuer import Issuer


def keys_of(jwk: dict[str, Any], alg: SigningAlg) -> Mapping[str, JwsKey]:
    """Take the vector's key in as the library does, from a key set or, for a secret, from a configuration."""
    if jwk["kty"] == "oct":
        return shared_keys({jwk["kid"]: decode_segment(jwk["k"].encode())})
    return public_keys(json.dumps({"keys": [jwk]}).encode(), [alg])


def is_good(jwk: dict[str, Any], token: str) -> bool:
    """Open the token, whose header has no `typ`: where alg and kid are all that it says, the rest is the library's."""
    alg = jwk.get("alg", header_of(token).get("alg"))
    if alg not in set(SigningAlg):
        return False
    keys = keys_of(jwk, SigningAlg(alg))

    def find(segment: str) -> tuple[JwsKey, None] | None:
        header = read_object(decode_segment(segment.encode("ascii")), "header")
        return (keys[jwk["kid"]], None) if keys and header == {"alg": alg, "kid": jwk["kid"]} else None

    try:
        open_compact(token, find)
    except UntrustedToken:
        return False
    return True


def check_of(jwk: dict[str, Any], alg: SigningAlg) -> TokenCheck:
    """Return a check that believes the vector's key and wants the `typ` of an access token."""
    check = Issuer().check()
    check.replace_keys(KeySet(keys_of(jwk, alg), algorithms=[alg], types=["at+jwt"]))
    return check


@needs_vectors
def test_jose_15_every_vector() -> None:
    """JOSE-15: all vectors of our algorithms are judged rightly; every other algorithm is refused."""
    assert_judged_rightly(is_good)


@needs_vectors
def test_jose_15_no_vector_is_an_access_token() -> None:
    """JOSE-15: not one of 401 gets through the whole check, and none raises anything but a refusal."""
    for jwk, vector in vectors():
        alg = jwk.get("alg", header_of(vector["jws"]).get("alg"))
        check = check_of(jwk, SigningAlg(alg) if alg in set(SigningAlg) else SigningAlg.ES256)
        with pytest.raises((InvalidToken, UnknownKey)):
            check.verify(vector["jws"])
