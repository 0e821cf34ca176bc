"""One process below HTTP: the use cases over the capabilities, opened and closed as one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

from authserver.administration.client_rules import ClientRules
from authserver.administration.client_secrets import SecretAdministration
from authserver.administration.clients import ClientAdministration
from authserver.administration.rendering import ClaimsPreview
from authserver.administration.resources import ResourceAdministration
from authserver.administration.revocations import RevocationAdministration
from authserver.administration.signing_keys import SigningKeyAdministration
from authserver.administration.status import StatusAdministration
from authserver.administration.templates import TemplateAdministration
from authserver.administration.verbs import Verbs
from authserver.administration.verifier_config import VerifierConfigAdministration
from authserver.app.capabilities import Capabilities, build_capabilities, load
from authserver.audit.events import AuditEvent
from authserver.core.clock import Clock, system_clock
from authserver.core.errors import ConfigurationError
from authserver.core.ports import CompletenessGate
from authserver.endpoints.verifier_config import verifier_addresses
from authserver.limits.misses import MissBudget
from authserver.revocation.completeness import BeaconGate, PollingGate
from authserver.settings import Settings
from authserver.storage import migrate
from authserver.storage.database import open_database
from authserver.telemetry.metrics import Metrics
from authserver.tokens.authenticate import ClientDoor
from authserver.tokens.feed import RevocationFeed
from authserver.tokens.introspect import TokenIntrospector
from authserver.tokens.issue import TokenDefaults, TokenIssuer
from authserver.tokens.revoke import TokenRevoker
from authserver.tokens.served import ServedResources
from authserver.tokens.standing import TokenStanding
from authserver.tokens.verifier_config import VerifierSetup

VERSION = version("authserver")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What clients and resource servers can ask."""

    standing: TokenStanding
    issuer: TokenIssuer
    introspector: TokenIntrospector
    revoker: TokenRevoker
    feed: RevocationFeed
    verifier_setup: VerifierSetup


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Everything that one process is made of, below HTTP."""

    capabilities: Capabilities
    tokens: Tokens
    administration: Verbs


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, clock: Clock = system_clock, metrics: Metrics | None = None
) -> AsyncIterator[Runtime]:
    """Open the database, load everything that is held in memory, and close it all in the end.

    Raises ConfigurationError with one clear line for whatever keeps it from working.
    """
    if migrate.status(settings.database).is_pending:
        raise ConfigurationError("The database is not migrated: run `authserver migrate up`.")
    database = open_database(settings.database, clock=clock)
    try:
        capabilities = await build_capabilities(settings, database, clock, metrics or Metrics())
        try:
            await load(capabilities)
            yield Runtime(
                capabilities=capabilities,
                tokens=await _tokens(capabilities),
                administration=_administration(capabilities),
            )
        finally:
            await capabilities.usage.flush()
            capabilities.authenticator.close()
            if capabilities.beacon is not None:
                await capabilities.beacon.close()
    finally:
        await database.close()


async def _tokens(c: Capabilities) -> Tokens:
    settings = c.settings
    door = ClientDoor(authenticator=c.authenticator, usage=c.usage, audit=c.audit, clock=c.clock)
    gate = _gate(c)
    standing = TokenStanding(
        keys=c.keys,
        revocations=c.revocations,
        directory=c.directory,
        gate=gate,
        look=c.follower.look,
        clock=c.clock,
        leeway_seconds=settings.leeway_seconds,
    )
    served = ServedResources(resources=c.resources, look=c.follower.look)
    misses = MissBudget(
        limit=settings.introspection_misses_per_minute,
        clock=c.clock,
        alarm=lambda caller: c.audit.record(AuditEvent.INTROSPECTION_THROTTLED, client_id=caller),
    )
    return Tokens(
        standing=standing,
        issuer=TokenIssuer(
            door=door,
            resources=c.resources,
            templates=c.templates,
            keys=c.keys,
            clock=c.clock,
            defaults=_token_defaults(c),
            workspace_names={w.workspace_id: w.name for w in await c.database.workspaces.all()},
        ),
        introspector=TokenIntrospector(
            door=door, standing=standing, resources=c.resources, misses=misses, audit=c.audit
        ),
        feed=RevocationFeed(door=door, served=served, revocations=c.revocations, keys=c.keys, gate=gate, clock=c.clock),
        revoker=TokenRevoker(door=door, standing=standing, revocations=c.revocations, audit=c.audit, clock=c.clock),
        verifier_setup=VerifierSetup(
            door=door, served=served, keys=c.keys, addresses=verifier_addresses(c.issuer), audit=c.audit
        ),
    )


def _gate(c: Capabilities) -> CompletenessGate:
    if c.beacon is not None:
        return BeaconGate(beacon=c.beacon, revocations=c.revocations)
    return PollingGate(knowledge=c.follower, grace_seconds=c.settings.revocation_grace_seconds)


def _token_defaults(c: Capabilities) -> TokenDefaults:
    settings = c.settings
    return TokenDefaults(
        issuer=c.issuer,
        audience=settings.default_audience or c.issuer,
        ttl_seconds=settings.access_token_ttl,
        max_ttl_seconds=settings.max_access_token_ttl,
        signing_alg=settings.signing_alg,
    )


def _administration(c: Capabilities) -> Verbs:
    database, audit, clock, settle, revoker = c.database, c.audit, c.clock, c.settle, c.revocations
    max_ttl_seconds = c.settings.max_access_token_ttl
    preview = ClaimsPreview(templates=c.templates, resources=c.resources, issuer=c.issuer, clock=clock)
    rules = ClientRules(resources=database.resources, preview=preview, max_ttl_seconds=max_ttl_seconds)
    clients = ClientAdministration(
        store=database.clients,
        rules=rules,
        revoker=revoker,
        state=database.state,
        audit=audit,
        clock=clock,
        settle=settle,
    )
    secrets = SecretAdministration(
        clients=database.clients,
        secrets=database.client_secrets,
        rules=rules,
        revoker=revoker,
        audit=audit,
        clock=clock,
        settle=settle,
        unheard_seconds=c.settings.database_grace_seconds + c.settings.leeway_seconds,
    )
    resources = _resource_administration(c)
    signing_keys = SigningKeyAdministration(keys=c.keys, revoker=revoker, audit=audit, settle=settle)
    return Verbs(
        clients=clients,
        secrets=secrets,
        resources=resources,
        templates=_template_administration(c, preview),
        signing_keys=signing_keys,
        verifier_configs=VerifierConfigAdministration(
            resources=resources, signing_keys=signing_keys, addresses=verifier_addresses(c.issuer)
        ),
        revocations=RevocationAdministration(store=database.revocations, revoker=revoker, audit=audit, settle=settle),
        status=_status_administration(c),
    )


def _resource_administration(c: Capabilities) -> ResourceAdministration:
    return ResourceAdministration(
        store=c.database.resources,
        clients=c.database.clients,
        keys=c.keys,
        audit=c.audit,
        clock=c.clock,
        settle=c.settle,
        max_ttl_seconds=c.settings.max_access_token_ttl,
    )


def _template_administration(c: Capabilities, preview: ClaimsPreview) -> TemplateAdministration:
    return TemplateAdministration(
        store=c.database.templates,
        resources=c.database.resources,
        clients=c.database.clients,
        preview=preview,
        audit=c.audit,
        clock=c.clock,
        settle=c.settle,
    )


def _status_administration(c: Capabilities) -> StatusAdministration:
    return StatusAdministration(
        version=VERSION,
        issuer=c.issuer,
        resources=c.resources,
        keys=c.keys,
        revocations_held=c.revocations.__len__,
        clock=c.clock,
    )
