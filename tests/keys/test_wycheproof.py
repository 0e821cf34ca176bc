"""JOSE-15: project Wycheproof's JWS vectors, through the function that opens every access token."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey

from authserver.core.resource import SigningAlg
from authserver.jose.compact import JwsKey, decode_segment, open_compact
from authserver.jose.errors import TokenRefused
from authserver.keys.material import open_public

FILE = "wycheproof_json_web_signature.json"
VECTORS = Path(os.environ.get("AUTHSERVER_TEST_VECTORS", Path(__file__).parents[3] / "shared" / "vectors")) / FILE

#: Called valid there with a `?` inside a segment; RFC 7515 §2 allows no character outside the alphabet (JOSE-07).
TOLERATED_THERE = {372, 373}
#: Called invalid there, and byte for byte the same as number 357, which is called valid: their padding got lost.
SAME_AS_357 = {367, 370}


def vectors() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return every vector with its key."""
    groups = json.loads(VECTORS.read_text())["testGroups"]
    return [(group.get("public", group["private"]), vector) for group in groups for vector in group["tests"]]


def is_good(jwk: dict[str, Any], token: str) -> bool:
    """Publish the key under its own alg and kid, in whatever spelling the vector gives that header; open the token."""
    header = header_of(token)
    try:
        alg = SigningAlg(str(jwk.get("alg", header.get("alg"))))
        expected = {"alg": alg.value, "kid": jwk["kid"]}
        trusted = {token.partition(".")[0]: (JwsKey(alg, opened(jwk)), None)} if header == expected else {}
        open_compact(token, trusted.get)
    except (TokenRefused, JoseError, ValueError):
        return False
    return True


def opened(jwk: dict[str, Any]) -> Key:
    """Open the vector's key."""
    return OctKey.import_key(jwk) if jwk["kty"] == "oct" else open_public(jwk)


def header_of(token: str) -> dict[str, Any]:
    """Return the header as a careless parser reads it, `{}` where it is none."""
    try:
        header = json.loads(decode_segment(token.partition(".")[0].encode()))
    except (TokenRefused, ValueError):
        return {}
    return header if isinstance(header, dict) else {}


def is_ours(jwk: dict[str, Any], token: str) -> bool:
    """Tell whether key and header agree on an algorithm that we speak."""
    alg = json.loads(base64.urlsafe_b64decode(token.partition(".")[0].replace("?", "") + "==")).get("alg")
    return alg in set(SigningAlg) and jwk.get("alg", alg) == alg


@pytest.mark.skipif(not VECTORS.is_file(), reason=f"{FILE} is absent; AUTHSERVER_TEST_VECTORS names its directory")
def test_jose_15_every_vector() -> None:
    """JOSE-15: all vectors of our algorithms are judged rightly; every other algorithm is refused."""
    everything = vectors()
    tokens = {vector["tcId"]: vector["jws"] for _, vector in everything}
    valid = {v["tcId"] for jwk, v in everything if v["result"] == "valid" and is_ours(jwk, v["jws"])}
    good = {v["tcId"] for jwk, v in everything if is_good(jwk, v["jws"])}
    assert len(everything) == 401
    assert {tokens[number] for number in SAME_AS_357} == {tokens[357]}
    assert good == valid - TOLERATED_THERE | SAME_AS_357
    assert len(good) == 26
