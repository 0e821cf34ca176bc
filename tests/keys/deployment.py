"""A deployment for tests: one store, one clock, as many key rings as there are instances."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from authserver.core.errors import Conflict
from authserver.core.identifiers import new_token_id
from authserver.core.ports import SigningKeyStore
from authserver.core.resource import SigningAlg, TokenType
from authserver.core.signing_key import KeyState, SigningKey
from authserver.keys.lifecycle import KeyGroup, Policy
from authserver.keys.ring import KeyRing, nobody_waits
from authserver.keys.sealing import Sealer

ISSUER = "https://as.example"
API = "https://api.example"
START = 1_800_000_000
POLICY = Policy()
SECRET_KEY = "a secret key for tests of 32 characters or more"

_ONE_OF_EACH = (KeyState.ACTIVE, KeyState.NEXT)


class MemoryKeyStore:
    """The SigningKeyStore of the Protocol, in a dict."""

    def __init__(self) -> None:
        self.keys: dict[str, SigningKey] = {}

    async def all(self) -> Sequence[SigningKey]:
        """Return what is not gone, and what was revoked."""
        await asyncio.sleep(0)
        return [key for key in self.keys.values() if key.state is not KeyState.GONE or key.revoked_at is not None]

    async def change(self, *, before: Sequence[SigningKey], after: Sequence[SigningKey]) -> None:
        """Compare and swap."""
        await asyncio.sleep(0)
        if any(self.keys.get(key.kid) != key for key in before):
            raise Conflict("a key has changed")
        changed = {**self.keys, **{key.kid: key for key in after}}
        places = [(KeyGroup.of_key(key), key.state) for key in changed.values() if key.state in _ONE_OF_EACH]
        if len(places) != len(set(places)):
            raise Conflict("the place is taken")
        self.keys = changed


class Deployment:
    """Instances that share a store. `now_ms` is the time of all of them."""

    def __init__(self, *secret_keys: str) -> None:
        self.store = MemoryKeyStore()
        self.now_ms = START * 1000
        self.sealer = Sealer(secret_keys or (SECRET_KEY,))
        self.identifiers = {"res_api": API}

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.now_ms += seconds * 1000

    def instance(
        self,
        sealer: Sealer | None = None,
        store: SigningKeyStore | None = None,
        published: Callable[[], None] = nobody_waits,
    ) -> KeyRing:
        """Return a key ring that has loaded nothing yet."""
        return KeyRing(
            store=store or self.store,
            sealer=sealer or self.sealer,
            policy=POLICY,
            clock=lambda: self.now_ms,
            issuer=ISSUER,
            audience_of=self.identifiers.get,
            published=published,
        )

    async def started(self, *algs: SigningAlg) -> KeyRing:
        """Return an instance with its keys made."""
        ring = self.instance()
        await ring.load()
        for alg in algs or (SigningAlg.ES256,):
            await ring.ensure(workspace_id="default", alg=alg, resource_id="res_api")
        return ring

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a token issued now for an hour, some of them changed; None leaves one out."""
        now = self.now_ms // 1000
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "sub": "cl_1",
            "aud": API,
            "client_id": "cl_1",
            "scope": "read write",
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "jti": new_token_id(self.now_ms),
            "workspace_id": "default",
            "credential_id": "cr_1",
            "user_id": "user-1",
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def token(self, ring: KeyRing, alg: SigningAlg = SigningAlg.ES256, **changes: Any) -> str:
        """Return a token signed now."""
        signer = ring.signer_for(workspace_id="default", alg=alg, resource_id="res_api")
        return signer.sign(self.claims(**changes), TokenType.AT_JWT)


def only(keys: Sequence[SigningKey], state: KeyState) -> SigningKey:
    """Return the one key in a state; fail when there is none or more than one."""
    (key,) = [key for key in keys if key.state is state]
    return key
