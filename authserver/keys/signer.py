"""Signing access tokens (RFC 9068 §2, RFC 7515 §5.1): one explicit key, its headers made in advance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from authserver.core.resource import SigningAlg, TokenType
from authserver.jose.compact import JwsKey, decode_segment, encode_segment
from authserver.jose.errors import UntrustedToken

_encode = msgspec.json.Encoder().encode
_MAX_HEADER_CHARACTERS = 256


class Signer:
    """Signs with one key. Holds the private part in memory and shows nothing of it."""

    __slots__ = ("_headers", "_key", "alg", "kid")

    def __init__(self, *, kid: str, key: JwsKey) -> None:
        self.kid = kid
        self.alg: SigningAlg = key.alg
        self._key = key
        self._headers = {typ: header_segment(kid, key.alg, typ).encode("ascii") for typ in TokenType}

    def __repr__(self) -> str:
        return f"Signer(kid={self.kid!r}, alg={self.alg.value!r})"

    def sign(self, claims: Mapping[str, Any], typ: TokenType) -> str:
        """Return the token in compact form. `claims` must be JSON values: msgspec raises TypeError otherwise."""
        signing_input = self._headers[typ] + b"." + encode_segment(_encode(dict(claims)))
        return (signing_input + b"." + encode_segment(self._key.sign(signing_input))).decode("ascii")


def header_segment(kid: str, alg: SigningAlg, typ: TokenType) -> str:
    """Return the encoded header of every token signed by this key with this `typ`.

    Its bytes are a contract with tokens already issued: a change of member or order refuses them all.
    """
    return encode_segment(_encode({"alg": alg.value, "kid": kid, "typ": typ.value})).decode("ascii")


def is_header_of_ours(segment: str) -> bool:
    """Tell whether `header_segment` writes this for some `kid`, whether there is a key of that name or not."""
    if len(segment) > _MAX_HEADER_CHARACTERS:
        return False
    try:
        header = msgspec.json.decode(decode_segment(segment.encode("ascii")), type=dict[str, str])
        written = header_segment(header["kid"], SigningAlg(header["alg"]), TokenType(header["typ"]))
    except (UntrustedToken, msgspec.MsgspecError, KeyError, ValueError):
        return False
    return written == segment
