"""Tokens that this server never issued, signed with its own keys: what an attacker with a signing oracle could send.

The private keys leave no server. The forge opens the data directory as the server's own account may, in this process.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from authserver.app.runtime import Runtime, open_runtime
from authserver.core.identifiers import new_token_id
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState
from authserver.development import prepare
from authserver.jose.compact import JwsKey
from authserver.keys.material import open_private
from authserver.keys.sealing import Sealer
from authserver.settings import read_settings
from tests.server import RunningServer

T = TypeVar("T")

#: The order of a point on P-256: both s and n - s make a good ECDSA signature.
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@asynccontextmanager
async def second_runtime(server: RunningServer) -> AsyncIterator[Runtime]:
    """Open the server's database in this process, as its command line does: another process to the server."""
    environment = {"AUTHSERVER_DATA_DIR": str(server.data_dir)}
    settings = prepare(read_settings(environment, port=server.port))
    async with open_runtime(settings) as runtime:
        yield runtime


def from_another_process(server: RunningServer, act: Callable[[Runtime], Awaitable[T]]) -> T:
    """Do something to the server's database behind its back."""

    async def run() -> T:
        async with second_runtime(server) as runtime:
            return await act(runtime)

    return asyncio.run(run())


class Forge:
    """Signs whatever it is given with the active ES256 key of a server."""

    def __init__(self, server: RunningServer) -> None:
        """Take a copy of the key."""
        self.issuer = server.url

        async def unsealed(runtime: Runtime) -> tuple[str, JwsKey]:
            capabilities = runtime.capabilities
            (key,) = [
                key for key in capabilities.keys.list() if key.alg is SigningAlg.ES256 and key.state is KeyState.ACTIVE
            ]
            private = Sealer(capabilities.settings.secret_keys).unseal(key.sealed_private, label=key.kid)
            return key.kid, JwsKey(key.alg, open_private(key.alg, private))

        self.kid, self._key = from_another_process(server, unsealed)

    def header(self, **changes: Any) -> dict[str, Any]:
        """Return the header of an honest token, some members changed or, with None, left out."""
        return _changed({"alg": "ES256", "kid": self.kid, "typ": "at+jwt"}, changes)

    def claims(self, client_id: str, **changes: Any) -> dict[str, Any]:
        """Return the claims of an honest token of a client, some changed or, with None, left out."""
        now_ms = time.time_ns() // 1_000_000
        honest = {
            "iss": self.issuer,
            "sub": client_id,
            "aud": "https://api.example.com",
            "client_id": client_id,
            "iat": now_ms // 1000,
            "nbf": now_ms // 1000,
            "exp": now_ms // 1000 + 3600,
            "jti": new_token_id(now_ms),
            "workspace_id": "default",
            "credential_id": "cred_forged",
        }
        return _changed(honest, changes)

    def sign(self, header: object, payload: object) -> str:
        """Sign two segments with a good signature; bytes are taken as they are, anything else as JSON."""
        return self.sign_segments(encode(header), encode(payload))

    def sign_segments(self, header: str, payload: str) -> str:
        """Sign segments that are encoded already, well or badly."""
        signing_input = f"{header}.{payload}"
        return f"{signing_input}.{b64(self._key.sign(signing_input.encode()))}"


def encode(content: object) -> str:
    """Return a segment: bytes as they are, anything else as compact JSON."""
    return b64(content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode())


def b64(content: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unb64(segment: str) -> bytes:
    """Return the content of a segment."""
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def malleated(token: str) -> str:
    """Return the same ES256 token with the other good signature, n - s (JOSE-09)."""
    signed, _, signature = token.rpartition(".")
    r_and_s = unb64(signature)
    other = P256_ORDER - int.from_bytes(r_and_s[32:], "big")
    return f"{signed}.{b64(r_and_s[:32] + other.to_bytes(32, 'big'))}"


def with_header(token: str, header: object) -> str:
    """Return the token with another header; its signature no longer fits."""
    return f"{encode(header)}.{token.partition('.')[2]}"


def badly_signed(token: str) -> str:
    """Return the token with one bit of its signature turned, in canonical base64url."""
    signed, _, signature = token.rpartition(".")
    content = bytearray(unb64(signature))
    content[0] ^= 1
    return f"{signed}.{b64(bytes(content))}"


def _changed(honest: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (honest | changes).items() if value is not None}
