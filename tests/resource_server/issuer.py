"""An issuer of our own for tests: it signs anything, and publishes its keys as a JWK Set."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from authserver.core.identifiers import new_token_id
from authserver.core.resource import SigningAlg
from authserver.jose.compact import JwsKey
from authserver.resource_server.check import Limits, Proof, TokenCheck
from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.key_set import KeySet
from authserver.resource_server.token import VerifiedToken
from tests.conformance.forge import b64, encode

ISSUER = "https://as.example"
AUDIENCE = "https://orders.example"
KID = "key-1"
SCOPES: list[dict[str, Any]] = [{"name": "read"}, {"name": "write", "includes": ["read"]}]


def new_key(alg: SigningAlg) -> Key:
    """Return a key for an algorithm."""
    match alg:
        case SigningAlg.ES256:
            return ECKey.generate_key("P-256")
        case SigningAlg.ED25519:
            return OKPKey.generate_key("Ed25519")
        case SigningAlg.HS256:
            return OctKey.generate_key(256)
        case _:
            return RSAKey.generate_key(2048)


def changed(honest: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return members changed or, with None, left out."""
    return {name: value for name, value in (dict(honest) | dict(changes)).items() if value is not None}


@dataclass
class Issuer:
    """Signs with one key, as the authorization server does and as it never would."""

    alg: SigningAlg = SigningAlg.ES256
    kid: str = KID
    issuer: str = ISSUER
    audience: str = AUDIENCE
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        self.key = new_key(self.alg)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """Return the public key as it is published, or for HS256 the secret, some members changed."""
        published = dict(self.key.as_dict(private=self.alg is SigningAlg.HS256))
        return changed({**published, "kid": self.kid, "alg": self.alg.value, "use": "sig"}, changes)

    def document(self, **changes: Any) -> dict[str, Any]:
        """Return the verifier configuration, some members changed."""
        keys = {"jwks": {"keys": [self.jwk()]}} if self.alg is SigningAlg.HS256 else {"jwks_uri": f"{ISSUER}/jwks"}
        honest = {
            "issuer": self.issuer,
            "audience": self.audience,
            "workspace_id": "default",
            "algorithms": [self.alg.value],
            "typ": "at+jwt",
            "scopes": SCOPES,
            "revocations_endpoint": f"{ISSUER}/oauth2/revocations",
            "introspection_endpoint": f"{ISSUER}/oauth2/introspect",
            **keys,
        }
        return changed(honest, changes)

    def header(self, **changes: Any) -> dict[str, Any]:
        """Return an honest header, some members changed or left out."""
        return changed({"alg": self.alg.value, "kid": self.kid, "typ": "at+jwt"}, changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return honest claims, some changed or left out."""
        now_ms = time.time_ns() // 1_000_000
        honest = {
            "iss": self.issuer,
            "sub": "cl_1",
            "aud": self.audience,
            "client_id": "cl_1",
            "scope": "read",
            "iat": now_ms // 1000,
            "nbf": now_ms // 1000,
            "exp": now_ms // 1000 + 3600,
            "jti": new_token_id(now_ms),
            "workspace_id": "default",
            "credential_id": "cred_1",
        }
        return changed(honest, changes)

    def mint(self, header: object = None, claims: object = None) -> str:
        """Sign anything: bytes as they are, other values as JSON, an honest header or honest claims for None."""
        return self.sign_segments(
            encode(self.header() if header is None else header), encode(self.claims() if claims is None else claims)
        )

    def sign_segments(self, header: str, payload: str) -> str:
        """Sign segments that are encoded already, well or badly."""
        signature = JwsKey(self.alg, self.key).sign(f"{header}.{payload}".encode("utf-8", "surrogatepass"))
        return f"{header}.{payload}.{b64(signature)}"

    def check(self, *keys: Mapping[str, Any], limits: Limits | None = None, **changes: Any) -> TokenCheck:
        """Return a check that believes `keys`, or ours; `changes` go to the configuration. It follows no feed."""
        config = VerifierConfig.of(self.document(**changes))
        check = TokenCheck(
            config,
            limits=limits or Limits(),
            follows_revocations=False,
            clock=time.time,
            monotonic=time.monotonic,
        )
        if self.alg is not SigningAlg.HS256:
            check.replace_keys(key_set(config, *(keys or (self.jwk(),))))
        return check

    def verify(self, token: str, proof: Proof | None = None) -> VerifiedToken:
        """Check a token against our own key and configuration."""
        return self.check().verify(token, proof=proof)


def key_set(config: VerifierConfig, *keys: object) -> KeySet:
    """Return what a verifier makes of a published JWK Set."""
    document = json.dumps({"keys": keys}).encode()
    return KeySet.published(document, config)
