"""What the contract is about: the stores, how a scenario runs on them, and entries to put into them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from authserver.core import ports
from authserver.core.client import Client, ClientSecret, SecretState
from authserver.core.resource import Resource, ResourceScope, SigningAlg
from authserver.core.revocation import Revocation, RevocationKind
from authserver.core.signing_key import KeyState, SigningKey

NOW = 1_800_000_000
DAY = 86_400


class Stores(Protocol):
    """A backend: every store of `core/ports.py`. A type checker holds each backend against it."""

    @property
    def clients(self) -> ports.ClientStore: ...  # noqa: D102
    @property
    def client_secrets(self) -> ports.ClientSecretStore: ...  # noqa: D102
    @property
    def resources(self) -> ports.ResourceStore: ...  # noqa: D102
    @property
    def templates(self) -> ports.TemplateStore: ...  # noqa: D102
    @property
    def signing_keys(self) -> ports.SigningKeyStore: ...  # noqa: D102
    @property
    def revocations(self) -> ports.RevocationStore: ...  # noqa: D102
    @property
    def changes(self) -> ports.ChangeLog: ...  # noqa: D102
    @property
    def state(self) -> ports.StateStore: ...  # noqa: D102

    async def close(self) -> None: ...  # noqa: D102


class Contract:
    """A part of the contract. A backend's test class says how to open a fresh, migrated database."""

    def open(self) -> Stores:
        """Open the database of this test; a second call opens the same one, as another instance would."""
        raise NotImplementedError

    def run(self, scenario: Callable[[Stores], Awaitable[None]]) -> None:
        """Run a scenario and close what it used."""

        async def opened() -> None:
            stores = self.open()
            try:
                await scenario(stores)
            finally:
                await stores.close()

        asyncio.run(opened())


def a_client(client_id: str = "c1", *, secrets: Sequence[ClientSecret] = (), **fields: object) -> Client:
    """Return a client with every kind of field filled."""
    values: dict[str, object] = {
        "client_name": "Büro \U0001f512",
        "scope": ("read", "write"),
        "audiences": ("https://api.example",),
        "trusted_metadata": {"user": {"id": "u-1", "n": [1, 2.5, None, True]}, "é": "\x00"},
        "descriptive": {"client_uri": "https://c.example"},
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Client(client_id=client_id, workspace_id="default", secrets=tuple(secrets), **(values | fields))  # type: ignore[arg-type]


def a_secret(credential_id: str, client_id: str = "c1", state: SecretState = SecretState.ACTIVE) -> ClientSecret:
    """Return a secret whose hash can be searched for."""
    return ClientSecret(
        credential_id=credential_id,
        client_id=client_id,
        state=state,
        secret_hash=f"hash-of-{credential_id}",
        secret_hint="abcd",
        created_at=NOW,
    )


def a_resource(resource_id: str = "r1", identifier: str = "https://api.example", **fields: object) -> Resource:
    """Return a resource with two scopes."""
    scopes = ResourceScope(name="write", description="Write.", includes=("read",)), ResourceScope(name="read")
    values: dict[str, object] = {"scopes": scopes, "created_at": NOW, "updated_at": NOW}
    return Resource(resource_id=resource_id, workspace_id="default", identifier=identifier, **(values | fields))  # type: ignore[arg-type]


def a_key(kid: str, state: KeyState = KeyState.ACTIVE, **fields: object) -> SigningKey:
    """Return an ES256 key of the workspace, unless `fields` say otherwise."""
    values: dict[str, object] = {"alg": SigningAlg.ES256, "public_jwk": {"kty": "EC"}, "published_at": NOW}
    return SigningKey(
        kid=kid,
        workspace_id="default",
        state=state,
        sealed_private=b"\x00sealed",
        **(values | fields),  # type: ignore[arg-type]
    )


def a_revocation(value: str, kind: RevocationKind = RevocationKind.JTI, **fields: object) -> Revocation:
    """Return a revocation at NOW that expires a day later, unless `fields` say otherwise."""
    values: dict[str, object] = {"revoked_at_ms": NOW * 1000, "expires_at": NOW + DAY, "reason": "r", "actor": "a"}
    return Revocation(kind=kind, value=value, workspace_id="default", **(values | fields))  # type: ignore[arg-type]


async def changes_since(stores: Stores, sequence: int) -> list[tuple[str, str]]:
    """Return (kind, key) of the changes after `sequence`, in order."""
    changes = await stores.changes.since(sequence)
    assert changes is not None
    return [(change.kind.value, change.key) for change in changes]
