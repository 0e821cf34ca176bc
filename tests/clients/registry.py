"""Clients on a real SQLite store, with a clock and a knowledge of the database that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from authserver.clients.authentication import Authenticated, ClientAuthenticator
from authserver.clients.directory import ClientDirectory
from authserver.core.client import AuthMethod, Client, ClientSecret, SecretState
from authserver.core.credentials import Credentials
from authserver.core.errors import TemporarilyUnavailable
from authserver.core.secret import SecretHash, generate_secret, new_salt
from authserver.storage.database import Database, open_database

T = TypeVar("T")

GRACE_SECONDS = 300
CAPACITY = 3
BASIC = AuthMethod.CLIENT_SECRET_BASIC
IMPORTED = "imported-secret-0123456789"


@dataclass
class Registry:
    """What authenticates clients, over one database file. `run` opens it, calls the test's scenario, closes it."""

    path: Path
    now_ms: int = 1_800_000_000_000
    age_seconds: int = 0
    alarms: list[tuple[str, str]] = field(default_factory=list)
    database: Database = field(init=False)
    directory: ClientDirectory = field(init=False)
    authenticator: ClientAuthenticator = field(init=False)

    def run(self, scenario: Callable[[], Awaitable[T]]) -> T:
        """Return what the scenario returns."""
        return asyncio.run(self._run(scenario))

    async def _run(self, scenario: Callable[[], Awaitable[T]]) -> T:
        self.database = open_database(f"sqlite:///{self.path}", clock=self.clock)
        self.directory = ClientDirectory(
            store=self.database.clients, knowledge=self, capacity=CAPACITY, grace_seconds=GRACE_SECONDS
        )
        self.authenticator = ClientAuthenticator(
            directory=self.directory, clock=self.clock, alarm=lambda *ids: self.alarms.append(ids)
        )
        try:
            return await scenario()
        finally:
            self.authenticator.close()
            await self.database.close()

    def clock(self) -> int:
        """Return the test's time."""
        return self.now_ms

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.now_ms += seconds * 1000

    def require_fresh(self, grace_seconds: int) -> float:
        """Return how long the test says that the database has been away; raise past the grace."""
        if self.age_seconds > grace_seconds:
            raise TemporarilyUnavailable("too old")
        return self.age_seconds

    async def add(self, client_id: str, secret: str | None = None, **changes: Any) -> str:
        """Store a client with one secret, `credential_id` `cr_` and its id; return the secret."""
        secret = secret or generate_secret("cs")
        entry = secret_entry(client_id, secret)
        fields = {"client_name": client_id, "workspace_id": "default", "secrets": (entry,)}
        client = Client(client_id=client_id, created_at=0, updated_at=0, **{**fields, **changes})
        await self.database.clients.add(client)
        return secret

    async def authenticate(self, client_id: str, secret: str, method: AuthMethod = BASIC) -> Authenticated:
        """Present a secret."""
        return await self.authenticator.authenticate(Credentials(method, client_id, secret))

    def execute(self, statement: str, *values: object) -> None:
        """Write into the database behind the store's back."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=5)) as connection, connection:
            connection.execute(statement, values)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Let every look-up fail until the block is left."""
        self.execute("ALTER TABLE clients RENAME TO hidden")
        try:
            yield
        finally:
            self.execute("ALTER TABLE hidden RENAME TO clients")


def secret_entry(
    client_id: str, secret: str, *, state: SecretState = SecretState.ACTIVE, salt: bytes = b"", **changes: Any
) -> ClientSecret:
    """Return what is stored of a secret."""
    return ClientSecret(
        credential_id=f"cr_{client_id}" if state is SecretState.ACTIVE else f"cr_{client_id}_next",
        client_id=client_id,
        state=state,
        secret_hash=str(SecretHash.of(secret, salt or new_salt())),
        secret_hint=secret[-4:],
        created_at=0,
        **changes,
    )
