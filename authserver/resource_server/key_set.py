"""The keys that are believed (RFC 7517), taken in strictly, and which of them a token's header names (RFC 7515 §4).

A key is used only for what it is certainly meant for. One that cannot be used is left out, the others stay.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self

from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from authserver.core.json_value import Json
from authserver.core.resource import SigningAlg
from authserver.jose.compact import JwsKey, decode_segment
from authserver.jose.errors import UntrustedToken
from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.strict_json import read_object

MAX_KEYS = 1_000
MAX_HEADER_CHARACTERS = 2048
RSA_EXPONENT = "AQAB"  # 65537: a longer one makes each verification slower
RSA_BITS = range(2048, 4097)

_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_CLASSES: Mapping[str, type[ECKey | RSAKey | OKPKey]] = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}
_MEMBERS: Mapping[str, tuple[str, ...]] = {"EC": ("crv", "x", "y"), "RSA": ("n", "e"), "OKP": ("crv", "x")}

#: Header members that change what the signature covers, or bring a key of the sender's (RFC 8725 §3.9, §3.10).
_REFUSED_MEMBERS = frozenset(("crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c"))

_MAX_HEADERS = 256

_log = logging.getLogger("authserver.resource_server")


class UnknownKey(UntrustedToken):
    """The header is well-formed and names a key that is not held; a new key set may have it."""


class KeySet:
    """Keys by `kid`, each bound to one algorithm. Replaced as a whole, never changed."""

    def __init__(
        self, keys: Mapping[str, JwsKey], *, algorithms: Collection[SigningAlg], types: Collection[str]
    ) -> None:
        """Believe `keys` for tokens whose header has one of `algorithms` and one of `types`."""
        self._keys = keys
        self._algorithms = frozenset(alg.value for alg in algorithms)
        self._types = types
        self._by_header: dict[str, tuple[JwsKey, str]] = {}

    @classmethod
    def shared(cls, config: VerifierConfig) -> Self:
        """Return the keys of an HS256 resource."""
        return cls(shared_keys(config.secrets), algorithms=config.algorithms, types=config.types)

    @classmethod
    def published(cls, document: bytes, config: VerifierConfig) -> Self:
        """Return the usable keys of a JWK Set; raise ValueError when it is none."""
        return cls(public_keys(document, config.algorithms), algorithms=config.algorithms, types=config.types)

    def __len__(self) -> int:
        """Return how many keys are held."""
        return len(self._keys)

    def find(self, header: str) -> tuple[JwsKey, str]:
        """Return key and `kid` for an encoded header; raise UnknownKey or UntrustedToken."""
        return self._by_header.get(header) or self._read(header)

    def remember(self, token: str) -> None:
        """Remember the header of a token whose signature is good; those of strangers take no memory."""
        header = token.partition(".")[0]
        if header not in self._by_header and len(self._by_header) < _MAX_HEADERS:
            self._by_header[header] = self._read(header)

    def _read(self, segment: str) -> tuple[JwsKey, str]:
        if len(segment) > MAX_HEADER_CHARACTERS:
            raise UntrustedToken("the header is too long")
        header = read_object(decode_segment(segment.encode("ascii")), "header")
        if not _REFUSED_MEMBERS.isdisjoint(header):
            raise UntrustedToken("the header has a member that is refused")
        alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ")
        if not isinstance(typ, str) or typ not in self._types:
            raise UntrustedToken("the header's typ is not that of an access token")
        if not isinstance(alg, str) or alg not in self._algorithms:
            raise UntrustedToken("the header's alg is not allowed")
        if not isinstance(kid, str) or not kid:
            raise UntrustedToken("the header names no key")
        key = self._keys.get(kid)
        if key is None:
            raise UnknownKey("the header names a key that is not held")
        if key.alg.value != alg:
            raise UntrustedToken("the header's alg is not that of its key")
        return key, kid


def shared_keys(secrets: Mapping[str, bytes]) -> Mapping[str, JwsKey]:
    """Return the keys of an HS256 resource."""
    parameters: Any = {"alg": SigningAlg.HS256.value, "use": "sig"}
    return {kid: JwsKey(SigningAlg.HS256, OctKey.import_key(value, parameters)) for kid, value in secrets.items()}


def public_keys(document: bytes, algorithms: Collection[SigningAlg]) -> Mapping[str, JwsKey]:
    """Return the usable keys of a JWK Set (RFC 7517 §5) by `kid`; raise ValueError when it is none."""
    try:
        jwks = json.loads(document)
    except RecursionError:
        raise ValueError("nested too deep") from None
    entries = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError("no JWK Set")
    found: dict[str, JwsKey] = {}
    twice: set[str] = set()
    for entry in entries:
        if _is_for_other_algorithm(entry, algorithms):
            continue
        try:
            kid, key = _public_key(entry, algorithms)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one key, the others stay
            reason = error if type(error) is ValueError else type(error).__name__
            _log.warning("a key of the issuer is left out: %s", reason)
            continue
        if kid in found:
            twice.add(kid)
        found[kid] = key
    for kid in twice:
        _log.warning("two keys of the issuer have one kid: both are left out")
        del found[kid]
    return found


def _is_for_other_algorithm(entry: Json, algorithms: Iterable[SigningAlg]) -> bool:
    """Tell whether a key is for an algorithm that is not wanted here: it is left out without a warning."""
    named = entry.get("alg") if isinstance(entry, dict) else None
    return isinstance(named, str) and named not in {alg.value for alg in algorithms}


def _public_key(entry: Json, algorithms: Iterable[SigningAlg]) -> tuple[str, JwsKey]:
    if not isinstance(entry, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - one kind of failure for whatever is wrong
    kid, kty, named = entry.get("kid"), entry.get("kty"), entry.get("alg")
    if not isinstance(kid, str) or not kid:
        raise ValueError("without a kid")
    if not isinstance(kty, str) or kty not in _CLASSES:
        raise ValueError("of a type that is no public key for signatures")
    if not _PRIVATE.isdisjoint(entry):
        raise ValueError("with a private part")
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("not for verifying signatures")
    allowed = [alg for alg in algorithms if named in (None, alg.value) and alg is not SigningAlg.HS256]
    if len(allowed) != 1:
        raise ValueError("for another algorithm")
    if kty == "RSA" and (entry.get("e") != RSA_EXPONENT or _bits(entry["n"]) not in RSA_BITS):
        raise ValueError("RSA with an odd exponent or size")
    key: Key = _CLASSES[kty].import_key({name: entry[name] for name in ("kty", *_MEMBERS[kty])})
    return kid, JwsKey(allowed[0], key)


def _bits(modulus: str) -> int:
    return int.from_bytes(decode_segment(modulus.encode("ascii")), "big").bit_length()
