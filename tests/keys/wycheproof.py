"""Project Wycheproof's JWS vectors, and how those are counted that contradict each other."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authserver.core.resource import SigningAlg
from authserver.jose.compact import decode_segment
from authserver.jose.errors import UntrustedToken

FILE = "wycheproof_json_web_signature.json"
VECTORS = Path(os.environ.get("AUTHSERVER_TEST_VECTORS", Path(__file__).parents[3] / "shared" / "vectors")) / FILE

#: Called valid there with a `?` inside a segment; RFC 7515 §2 allows no character outside the alphabet (JOSE-07).
TOLERATED_THERE = {372, 373}
#: Called invalid there, and byte for byte the same as number 357, which is called valid: their padding got lost.
SAME_AS_357 = {367, 370}

needs_vectors = pytest.mark.skipif(
    not VECTORS.is_file(), reason=f"{FILE} is absent; AUTHSERVER_TEST_VECTORS names its directory"
)


def vectors() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return every vector with its key."""
    groups = json.loads(VECTORS.read_text())["testGroups"]
    return [(group.get("public", group["private"]), vector) for group in groups for vector in group["tests"]]


def assert_judged_rightly(is_good: Callable[[dict[str, Any], str], bool]) -> None:
    """Assert that `is_good`, given key and token, finds those vectors good that are, and no other."""
    everything = vectors()
    tokens = {vector["tcId"]: vector["jws"] for _, vector in everything}
    valid = {v["tcId"] for jwk, v in everything if v["result"] == "valid" and is_ours(jwk, v["jws"])}
    good = {v["tcId"] for jwk, v in everything if is_good(jwk, v["jws"])}
    assert len(everything) == 401
    assert {tokens[number] for number in SAME_AS_357} == {tokens[357]}
    assert good == valid - TOLERATED_THERE | SAME_AS_357
    assert len(good) == 26


def header_of(token: str) -> dict[str, Any]:
    """Return the header as a careless parser reads it, `{}` where it is none."""
    try:
        header = json.loads(decode_segment(token.partition(".")[0].encode()))
    except (UntrustedToken, ValueError):
        return {}
    return header if isinstance(header, dict) else {}


def is_ours(jwk: dict[str, Any], token: str) -> bool:
    """Tell whether key and header agree on an algorithm that we speak."""
    alg = json.loads(base64.urlsafe_b64decode(token.partition(".")[0].replace("?", "") + "==")).get("alg")
    return alg in set(SigningAlg) and jwk.get("alg", alg) == alg
