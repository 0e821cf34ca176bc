"""Client authentication by secret (RFC 6749 §2.3.1): cheap when it was right before, equal for all that fail.

The first success of a secret costs one derivation in a thread; afterwards a keyed digest of it is remembered for
a few minutes, tied to the stored hash, so that a rotation or a removal ends it at once. Everything that is not
remembered takes one path: read the client anew, derive once, compare. An unknown client takes it too, with a
salt of our own, so that it costs and looks like a wrong secret. What still differs, the reading of a row that is
there, is hidden by a time that every refusal takes at least.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from authserver.clients.directory import ClientDirectory
from authserver.core.client import Client, ClientSecret, ClientStatus, SecretState
from authserver.core.clock import Clock, seconds
from authserver.core.credentials import Credentials
from authserver.core.errors import InvalidClient, TemporarilyUnavailable, TooManyRequests
from authserver.core.secret import GENERATED_ROUNDS, SecretHash, derive, new_salt, rounds_for

#: Set in the deployment's state as soon as one client has a secret that was chosen elsewhere.
IMPORTED_SECRETS_STATE = "imported_secrets"

REMEMBER_SECONDS = 300
MAX_REMEMBERED = 100_000
MAX_WAITING_SLOW = 64

#: Several times what a refusal costs, so that its time says nothing about what was found.
LEAST_REFUSAL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A client that proved itself, and by which of its secrets.

    `old_secret`: a rotation is under way and this was the secret about to go. `remembered`: no derivation
    was needed, so this was told before.
    """

    client: Client
    credential_id: str
    old_secret: bool
    remembered: bool


@dataclass(frozen=True, slots=True)
class _Proof:
    credential_id: str
    secret_hash: str = field(repr=False)
    until_seconds: int


class ClientAuthenticator:
    """Checks client secrets against the directory."""

    def __init__(
        self, *, directory: ClientDirectory, clock: Clock, alarm: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        """Check against `directory`; `close` ends the threads.

        `alarm` is told the client id and the credential id of each stored hash that cannot be read.
        """
        self._directory = directory
        self._clock = clock
        self._alarm = alarm
        self._key = os.urandom(32)
        self._salt = new_salt()
        self._proofs: OrderedDict[bytes, _Proof] = OrderedDict()
        self._quick = ThreadPoolExecutor(2, thread_name_prefix="derive")
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="derive-slow")
        self._slow_waiting = 0
        self._imported_exist = False

    def expect_imported_secrets(self) -> None:
        """Say that some client has a secret chosen elsewhere, so that every unknown one must cost as much."""
        self._imported_exist = True

    async def authenticate(self, presented: Credentials) -> Authenticated:
        """Return the authenticated client.

        Raises InvalidClient (after a successful look-up only), TooManyRequests when too many slow secrets wait,
        and TemporarilyUnavailable when the store cannot be asked.
        """
        digest = self._digest(presented)
        client = self._directory.held(presented.client_id)
        if client is not None:
            secret = self._remembered(client, digest)
            if secret is not None:
                self._admit(client, secret, presented)
                return Authenticated(client, secret.credential_id, _is_old(client, secret), remembered=True)
        loop = asyncio.get_running_loop()
        earliest = loop.time() + LEAST_REFUSAL_SECONDS
        try:
            return await self._prove(presented, digest)
        except InvalidClient:
            await asyncio.sleep(earliest - loop.time())
            raise

    def close(self) -> None:
        """End the threads that derive."""
        self._quick.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)

    async def _prove(self, presented: Credentials, digest: bytes) -> Authenticated:
        """Read, derive and compare, and remember a success."""
        client, certain = await self._look_up(presented.client_id)
        secret = await self._matching(client, presented)
        if client is None or secret is None:
            if not certain:
                raise TemporarilyUnavailable("the client could not be read to be sure that its secret is wrong")
            raise InvalidClient("unknown client" if client is None else "wrong secret")
        self._admit(client, secret, presented)
        self._remember(digest, secret)
        return Authenticated(client, secret.credential_id, _is_old(client, secret), remembered=False)

    async def _look_up(self, client_id: str) -> tuple[Client | None, bool]:
        """Read the client anew; while the store is away take the one in memory, which is not certain."""
        try:
            return await self._directory.load(client_id), True
        except TemporarilyUnavailable:
            client = self._directory.held(client_id)
            if client is None:
                raise
            return client, False

    async def _matching(self, client: Client | None, presented: Credentials) -> ClientSecret | None:
        """Derive once, whether the client exists or not, and return the secret that matches."""
        hashes = self._parsed_hashes(client)
        rounds = rounds_for(presented.client_secret) if self._imported_exist else GENERATED_ROUNDS
        if any(h.rounds != GENERATED_ROUNDS for h in hashes.values()):
            rounds = rounds_for(presented.client_secret)
        salt = next(iter(hashes.values())).salt if hashes else self._salt
        derived = await self._derive(presented.client_secret, salt, rounds)
        for secret in client.secrets if client else ():
            stored = hashes.get(secret.credential_id)
            if stored and stored.rounds == rounds and stored.salt == salt and stored.matches(derived):
                return secret
        return None

    def _parsed_hashes(self, client: Client | None) -> dict[str, SecretHash]:
        """Parse the stored hashes; a damaged one matches nothing, spoils no other and raises the alarm (AUTH-26)."""
        parsed: dict[str, SecretHash] = {}
        for secret in client.secrets if client else ():
            try:
                parsed[secret.credential_id] = SecretHash.parse(secret.secret_hash)
            except ValueError:
                self._alarm(secret.client_id, secret.credential_id)
        return parsed

    async def _derive(self, secret: str, salt: bytes, rounds: int) -> bytes:
        loop = asyncio.get_running_loop()
        if rounds <= GENERATED_ROUNDS:
            return await loop.run_in_executor(self._quick, derive, secret, salt, rounds)
        if self._slow_waiting >= MAX_WAITING_SLOW:
            raise TooManyRequests("too many secrets that are slow to check are waiting")
        self._slow_waiting += 1
        try:
            return await loop.run_in_executor(self._slow, derive, secret, salt, rounds)
        finally:
            self._slow_waiting -= 1

    def _admit(self, client: Client, secret: ClientSecret, presented: Credentials) -> None:
        """Refuse a client that proved itself but may not: the caller is told no more than for a wrong secret."""
        if client.status is not ClientStatus.ACTIVE:
            raise InvalidClient("the client is disabled")
        if client.token_endpoint_auth_method != presented.method:
            raise InvalidClient(f"the client is registered for {client.token_endpoint_auth_method}")
        if secret.expires_at is not None and secret.expires_at <= seconds(self._clock()):
            raise InvalidClient("the secret has expired")

    def _digest(self, presented: Credentials) -> bytes:
        keyed = hashlib.blake2b(presented.client_id.encode(), key=self._key, digest_size=16)
        keyed.update(b"\0" + presented.client_secret.encode())
        return keyed.digest()

    def _remembered(self, client: Client, digest: bytes) -> ClientSecret | None:
        proof = self._proofs.get(digest)
        if proof is None or proof.until_seconds <= seconds(self._clock()):
            return None
        for secret in client.secrets:
            if secret.credential_id == proof.credential_id and secret.secret_hash == proof.secret_hash:
                return secret
        return None

    def _remember(self, digest: bytes, secret: ClientSecret) -> None:
        until = seconds(self._clock()) + REMEMBER_SECONDS
        self._proofs[digest] = _Proof(secret.credential_id, secret.secret_hash, until)
        self._proofs.move_to_end(digest)
        if len(self._proofs) > MAX_REMEMBERED:
            self._proofs.popitem(last=False)


def _is_old(client: Client, secret: ClientSecret) -> bool:
    return secret.state is SecretState.ACTIVE and len(client.secrets) > 1
