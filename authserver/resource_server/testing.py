"""For the tests of a service: tokens that its verifier takes, without an authorization server and without a network.

    issuer = LocalIssuer({"audience": "https://api.example.com", "scopes": [{"name": "read"}]})
    verifier = Verifier.from_config(issuer.document, follow_revocations=False)
    response = client.get("/orders", headers=issuer.bearer("read"))

All checks are the real ones; there is only nobody to ask what was revoked.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import OctKey

from authserver.core.clock import seconds, system_clock
from authserver.core.identifiers import new_token_id
from authserver.core.json_value import Json
from authserver.core.resource import SigningAlg
from authserver.jose.compact import JwsKey, encode_segment

_KID = "local"
_TYPE = "at+jwt"
_SECRET_BYTES = 32


class LocalIssuer:
    """Issues tokens for one resource, signed with a secret that exists as long as this object (HS256).

    `document` is the verifier configuration that takes them, and takes no others.
    """

    def __init__(self, document: Mapping[str, Json]) -> None:
        """Be like the issuer of a verifier configuration; of a new one only `audience` has to be said."""
        secret = secrets.token_bytes(_SECRET_BYTES)
        self._key = JwsKey(SigningAlg.HS256, OctKey.import_key(secret))
        jwk = {"kty": "oct", "kid": _KID, "alg": SigningAlg.HS256.value, "k": encode_segment(secret).decode("ascii")}
        self.document: dict[str, Json] = {
            "issuer": "https://issuer.example",
            "workspace_id": "default",
            **document,
            "typ": _TYPE,
            "algorithms": [SigningAlg.HS256.value],
            "jwks": {"keys": [jwk]},
        }

    def token(self, scope: str = "", *, client_id: str = "test-client", ttl_seconds: int = 300, **claims: Json) -> str:
        """Return an access token (RFC 9068) with these scopes, space-separated; `claims` are added, and win."""
        now_ms = system_clock()
        now = seconds(now_ms)
        payload: dict[str, Any] = {
            "iss": self.document["issuer"],
            "sub": client_id,
            "aud": self.document["audience"],
            "client_id": client_id,
            "iat": now,
            "exp": now + ttl_seconds,
            "jti": new_token_id(now_ms),
            "workspace_id": self.document["workspace_id"],
            "credential_id": "cred_test",
            **({"scope": scope} if scope else {}),
            **claims,
        }
        header = {"alg": SigningAlg.HS256.value, "kid": _KID, "typ": _TYPE}
        signed = b".".join(encode_segment(json.dumps(part).encode()) for part in (header, payload))
        return b".".join((signed, encode_segment(self._key.sign(signed)))).decode("ascii")

    def bearer(self, scope: str = "", **more: Any) -> dict[str, str]:
        """Return the header field of a request with a new token; the arguments are those of `token`."""
        return {"Authorization": f"Bearer {self.token(scope, **more)}"}
