"""An administration on real stores: SQLite, key ring, catalogs and revocations, with a clock that stands still."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

from authserver.admin.operation import Verbs
from authserver.administration.actor import Actor
from authserver.administration.client_rules import ClientRules
from authserver.administration.client_secrets import SecretAdministration
from authserver.administration.clients import ClientAdministration
from authserver.administration.rendering import ClaimsPreview
from authserver.administration.resources import ResourceAdministration
from authserver.administration.revocations import RevocationAdministration
from authserver.administration.signing_keys import SigningKeyAdministration
from authserver.administration.status import StatusAdministration
from authserver.administration.templates import TemplateAdministration
from authserver.administration.verifier_config import VerifierConfigAdministration
from authserver.claims.catalog import TemplateCatalog
from authserver.core.client import Client
from authserver.core.identifiers import DEFAULT_WORKSPACE
from authserver.core.resource import SigningAlg
from authserver.core.revocation import Revocation
from authserver.endpoints.verifier_config import verifier_addresses
from authserver.keys.lifecycle import Policy
from authserver.keys.ring import KeyRing
from authserver.keys.sealing import Sealer
from authserver.resources.catalog import ResourceCatalog
from authserver.revocation.service import RevocationService
from authserver.storage.database import open_database
from authserver.storage.migrate import upgrade
from tests.revocation.lives import lives

ISSUER = "https://as.example"
API = "https://api.example"
START_MS = 1_800_000_000_000
MAX_TTL_SECONDS = 86_400
UNHEARD_SECONDS = 360
ROOT = Actor(name="root")


class Recorder:
    """An audit sink that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def record(self, event: str, **fields: object) -> None:
        """Keep the event."""
        self.events.append((str(event), fields))

    @property
    def names(self) -> list[str]:
        """Return the names of all events, in order."""
        return [name for name, _ in self.events]


class Office:
    """All verbs over one database. `open` it inside of the event loop, and close it there."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="authserver-test-"))
        shutil.copy(_migrated(), self.directory / "test.db")
        self.now_ms = START_MS
        self.audit = Recorder()
        self.settled = 0
        self.database = open_database(f"sqlite:///{self.directory / 'test.db'}", clock=self.clock)
        self.resources = ResourceCatalog(store=self.database.resources)
        self.templates = TemplateCatalog(store=self.database.templates)
        self.keys = KeyRing(
            store=self.database.signing_keys,
            sealer=Sealer(("a secret key for tests of 32 characters or more",)),
            policy=Policy(),
            clock=self.clock,
            issuer=ISSUER,
        )
        self.revoker = RevocationService(
            store=self.database.revocations, clock=self.clock, longest_life=lives(MAX_TTL_SECONDS), leeway_seconds=60
        )
        self.verbs = self._verbs()

    def clock(self) -> int:
        """Return a time that moves by a millisecond whenever somebody looks."""
        self.now_ms += 1
        return self.now_ms

    async def open(self) -> None:
        """Load what a server loads at its start."""
        await self.settle()
        await self.keys.ensure(workspace_id=DEFAULT_WORKSPACE, alg=SigningAlg.ES256)
        self.settled = 0

    async def close(self) -> None:
        """Close the database and remove its file."""
        await self.database.close()
        await asyncio.to_thread(shutil.rmtree, self.directory)

    async def settle(self) -> None:
        """See what was just written."""
        self.settled += 1
        await self.resources.load()
        await self.templates.load()
        await self.keys.load()

    async def revocations(self) -> list[Revocation]:
        """Return all stored revocations."""
        return list(await self.database.revocations.page(after=0, limit=100))

    async def actor(self, client_id: str, *scopes: str) -> Actor:
        """Return a client as actor, with the scopes of its token."""
        client = await self.database.clients.get(client_id)
        assert client is not None
        return Actor(name=f"client:{client_id}", scopes=frozenset(scopes), client=client)

    async def stored(self, client_id: str) -> Client:
        """Return a client as it is stored."""
        client = await self.database.clients.get(client_id)
        assert client is not None
        return client

    def _verbs(self) -> Verbs:
        stores, audit, clock, settle = self.database, self.audit, self.clock, self.settle
        preview = ClaimsPreview(templates=self.templates, resources=self.resources, issuer=ISSUER, clock=clock)
        rules = ClientRules(resources=stores.resources, preview=preview, max_ttl_seconds=MAX_TTL_SECONDS)
        resources = ResourceAdministration(
            store=stores.resources,
            clients=stores.clients,
            keys=self.keys,
            audit=audit,
            clock=clock,
            settle=settle,
            max_ttl_seconds=MAX_TTL_SECONDS,
        )
        signing_keys = SigningKeyAdministration(keys=self.keys, revoker=self.revoker, audit=audit, settle=settle)
        return Verbs(
            clients=ClientAdministration(
                store=stores.clients,
                rules=rules,
                revoker=self.revoker,
                state=stores.state,
                audit=audit,
                clock=clock,
                settle=settle,
            ),
            secrets=SecretAdministration(
                clients=stores.clients,
                secrets=stores.client_secrets,
                rules=rules,
                revoker=self.revoker,
                audit=audit,
                clock=clock,
                settle=settle,
                unheard_seconds=UNHEARD_SECONDS,
            ),
            resources=resources,
            templates=TemplateAdministration(
                store=stores.templates,
                resources=stores.resources,
                clients=stores.clients,
                preview=preview,
                audit=audit,
                clock=clock,
                settle=settle,
            ),
            signing_keys=signing_keys,
            verifier_configs=VerifierConfigAdministration(
                resources=resources, signing_keys=signing_keys, addresses=verifier_addresses(ISSUER)
            ),
            revocations=RevocationAdministration(
                store=stores.revocations, revoker=self.revoker, audit=audit, settle=settle
            ),
            status=StatusAdministration(
                version="0",
                issuer=ISSUER,
                resources=self.resources,
                keys=self.keys,
                revocations_held=lambda: len(self.revoker),
                clock=clock,
            ),
        )


def on_office(scenario: Callable[[Office], Awaitable[None]]) -> None:
    """Run a scenario in an office of its own."""

    async def run() -> None:
        office = Office()
        await office.open()
        try:
            await scenario(office)
        finally:
            await office.close()

    _migrated()  # outside of the loop: it runs one of its own
    asyncio.run(run())


@cache
def _migrated() -> Path:
    """Return a database file with all tables, made once."""
    directory = Path(tempfile.mkdtemp(prefix="authserver-test-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    path = directory / "migrated.db"
    asyncio.run(upgrade(f"sqlite:///{path}"))
    return path
