"""The capabilities of one process, built in order over one database, and kept in step with it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from authserver.admin.authorize import AdminTokens
from authserver.audit.events import AuditEvent
from authserver.audit.log import AuditLog
from authserver.claims.catalog import TemplateCatalog
from authserver.clients.authentication import IMPORTED_SECRETS_STATE, ClientAuthenticator
from authserver.clients.directory import ClientDirectory
from authserver.clients.usage import SecretUsage
from authserver.core.clock import Clock
from authserver.core.errors import ConfigurationError, TemporarilyUnavailable
from authserver.core.identifiers import DEFAULT_WORKSPACE
from authserver.core.ports import ChangeKind
from authserver.core.resource import Resource, SigningAlg
from authserver.development import local_address
from authserver.keys.lifecycle import Policy
from authserver.keys.ring import KeyRing
from authserver.keys.sealing import Sealer
from authserver.replication.follower import Follower
from authserver.resources.catalog import ResourceCatalog
from authserver.revocation.longest_life import LongestLife
from authserver.revocation.service import RevocationService
from authserver.settings import Settings
from authserver.storage.database import Database
from authserver.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from authserver.storage.redis_beacon import RedisBeacon

#: Where the issuer that was served last is kept, for command lines that are not told.
ISSUER_STATE = "issuer"

#: What tells this database from any other: cursors of the revocation feed are good within it.
EPOCH_STATE = "epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the use cases stand on. `issuer` is the one in the settings, or the one that was served last."""

    settings: Settings
    issuer: str
    epoch: str
    clock: Clock
    database: Database
    metrics: Metrics
    audit: AuditLog
    follower: Follower
    directory: ClientDirectory
    authenticator: ClientAuthenticator
    usage: SecretUsage
    resources: ResourceCatalog
    templates: TemplateCatalog
    keys: KeyRing
    revocations: RevocationService
    beacon: RedisBeacon | None
    admin_tokens: AdminTokens

    async def settle(self) -> None:
        """See the writes of this process here and now, and tell the other instances to look."""
        await self.follower.catch_up()
        if self.beacon is not None:
            with suppress(TemporarilyUnavailable):  # the others look by themselves, four times a second
                await self.beacon.announce()


async def build_capabilities(settings: Settings, database: Database, clock: Clock, metrics: Metrics) -> Capabilities:
    """Build every capability. Nothing is loaded yet."""
    issuer = settings.issuer or await database.state.get(ISSUER_STATE) or local_address(settings)
    follower = Follower(changes=database.changes)
    directory = ClientDirectory(
        store=database.clients,
        knowledge=follower,
        capacity=settings.client_cache_size,
        grace_seconds=settings.database_grace_seconds,
    )
    resources = ResourceCatalog(store=database.resources)
    audit = AuditLog(count=metrics.count_event)
    beacon = await _beacon(settings)
    longest_life = LongestLife(state=database.state, max_ttl_seconds=settings.max_access_token_ttl)
    longest_token_seconds = await longest_life()
    revocations = RevocationService(
        store=database.revocations,
        clock=clock,
        longest_life=longest_life,
        leeway_seconds=settings.leeway_seconds,
        beacon=beacon,
    )
    return Capabilities(
        settings=settings,
        issuer=issuer,
        epoch=await database.state.get(EPOCH_STATE) or "",
        clock=clock,
        database=database,
        metrics=metrics,
        audit=audit,
        follower=follower,
        directory=directory,
        authenticator=_authenticator(directory, clock, audit),
        usage=SecretUsage(store=database.client_secrets),
        resources=resources,
        templates=TemplateCatalog(store=database.templates),
        keys=_key_ring(
            settings,
            database,
            clock,
            issuer=issuer,
            resources=resources,
            revocations=revocations,
            longest_token_seconds=longest_token_seconds,
        ),
        revocations=revocations,
        beacon=beacon,
        admin_tokens=AdminTokens(settings.admin_tokens),
    )


async def load(capabilities: Capabilities) -> None:
    """Load everything into memory, and from here on follow what any process changes."""
    c = capabilities

    async def clients_changed(changed: frozenset[str] | None) -> None:
        if changed is None:
            c.directory.forget_all()
        for client_id in changed or ():
            c.directory.forget(client_id)
        if await c.database.state.get(IMPORTED_SECRETS_STATE):
            c.authenticator.expect_imported_secrets()

    async def resources_changed(_: frozenset[str] | None) -> None:
        await c.resources.load()
        await _ensure_keys(c)

    async def templates_changed(_: frozenset[str] | None) -> None:
        await c.templates.load()

    async def keys_changed(_: frozenset[str] | None) -> None:
        await c.keys.load()

    with _collector_at_rest():
        await c.keys.load()
        await c.follower.start(
            handlers={
                ChangeKind.CLIENT: clients_changed,
                ChangeKind.SIGNING_KEY: keys_changed,
                ChangeKind.RESOURCE: resources_changed,
                ChangeKind.TEMPLATE: templates_changed,
            },
            revocations=c.revocations.follow,
        )


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Spare the garbage collector what is only being loaded, now and later.

    Its rounds would take a fifth of the time that a million entries need, and each later one would stop the server for
    a tenth of a second, to find that what was loaded is still in use.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


async def _beacon(settings: Settings) -> RedisBeacon | None:
    """Return the beacon in Redis, if there is a Redis; raise ConfigurationError for one that may forget."""
    if settings.redis_url is None:
        return None
    try:
        from authserver.storage.redis_beacon import RedisBeacon  # noqa: PLC0415 - loaded only when asked for
    except ModuleNotFoundError:
        raise ConfigurationError(
            "AUTHSERVER_REDIS_URL: the Redis client is missing: install authserver with its extras [server,redis]."
        ) from None

    beacon = RedisBeacon(url=settings.redis_url.get_secret_value())
    await beacon.check_policy()
    return beacon


def _authenticator(directory: ClientDirectory, clock: Clock, audit: AuditLog) -> ClientAuthenticator:
    return ClientAuthenticator(
        directory=directory,
        clock=clock,
        alarm=lambda client_id, credential_id: audit.record(
            AuditEvent.CLIENT_SECRET_DAMAGED, client_id=client_id, credential_id=credential_id
        ),
    )


def _key_ring(
    settings: Settings,
    database: Database,
    clock: Clock,
    *,
    issuer: str,
    resources: ResourceCatalog,
    revocations: RevocationService,
    longest_token_seconds: int,
) -> KeyRing:
    def audience_of(resource_id: str) -> str | None:
        resource = resources.by_id(resource_id)
        return resource.identifier if resource else None

    return KeyRing(
        store=database.signing_keys,
        sealer=Sealer(settings.secret_keys),
        policy=Policy(
            publish_lead_seconds=settings.key_publish_lead_seconds,
            rotate_every_seconds=settings.key_rotation_seconds,
            longest_token_seconds=longest_token_seconds,
            leeway_seconds=settings.leeway_seconds,
        ),
        clock=clock,
        issuer=issuer,
        audience_of=audience_of,
        published=revocations.news.ring,
    )


async def _ensure_keys(c: Capabilities) -> None:
    """Make the first keys of every algorithm that some audience asks for; HS256 keys come with their resource."""

    def needs_key(resource: Resource) -> bool:
        return resource.signing_alg is not SigningAlg.HS256

    wanted = {(resource.workspace_id, resource.signing_alg) for resource in filter(needs_key, c.resources.all())}
    for workspace_id, alg in sorted(wanted | {(DEFAULT_WORKSPACE, c.settings.signing_alg)}):
        await c.keys.ensure(workspace_id=workspace_id, alg=alg)
