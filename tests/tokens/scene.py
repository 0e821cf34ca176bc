"""Introspection and revocation with everything around them replaced by what a test can turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from authserver.audit.events import AuditEvent
from authserver.clients.authentication import ClientAuthenticator
from authserver.clients.directory import ClientDirectory
from authserver.clients.usage import SecretUsage
from authserver.core.access_token import AccessToken
from authserver.core.client import AuthMethod, Client, ClientSecret, SecretState
from authserver.core.credentials import Credentials
from authserver.core.errors import InvalidToken, TemporarilyUnavailable
from authserver.core.identifiers import new_token_id
from authserver.core.ports import Page
from authserver.core.resource import Resource, TokenType
from authserver.core.revocation import BEGINNING, Place, Revocation
from authserver.core.secret import SecretHash, generate_secret, new_salt
from authserver.keys.errors import NotHeardOf
from authserver.limits.misses import MissBudget
from authserver.revocation.completeness import PollingGate
from authserver.revocation.news import News
from authserver.tokens.authenticate import ClientDoor
from authserver.tokens.feed import PAGE, RevocationFeed
from authserver.tokens.introspect import TokenIntrospector
from authserver.tokens.revoke import TokenRevoker
from authserver.tokens.served import ServedResources
from authserver.tokens.standing import TokenStanding

NOW_MS = 1_800_000_000_000
NOW = NOW_MS // 1000
GRACE_SECONDS = 5
LEEWAY_SECONDS = 60
API = "https://api.example.com"


class Scene:
    """A world at one moment: its parts can fail, and it remembers what they were asked."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self.age_seconds = 0
        self.store_away = False
        self.clients: dict[str, Client] = {}
        self.tokens: dict[str, AccessToken] = {}
        self.elsewhere: dict[str, AccessToken] = {}
        self.looks = 0
        self.revoked: set[str] = set()
        self.confirmed = 0
        self.asked: list[str] = []
        self.resources: dict[str, Resource] = {}
        self.events: list[tuple[str, dict[str, object]]] = []
        self.news = News()
        self.position = 0
        self.directory = ClientDirectory(store=_Clients(self), knowledge=self, capacity=10, grace_seconds=300)
        self.standing = TokenStanding(
            keys=self,  # type: ignore[arg-type] # the three members that are used stand below
            revocations=self,  # type: ignore[arg-type]
            directory=self.directory,
            gate=PollingGate(knowledge=self, grace_seconds=GRACE_SECONDS),
            look=self.look,
            clock=lambda: self.now_ms,
            leeway_seconds=LEEWAY_SECONDS,
        )

    # ── what the parts do ──

    def require_fresh(self, grace_seconds: int) -> float:
        """Return how old the world's knowledge is; raise when that is too old."""
        if self.age_seconds > grace_seconds:
            raise TemporarilyUnavailable("too old")
        return self.age_seconds

    async def look(self) -> None:
        """Learn of the tokens that were issued elsewhere."""
        self.looks += 1
        if self.store_away:
            raise TemporarilyUnavailable("away")
        self.tokens |= self.elsewhere
        self.elsewhere = {}

    def verify(self, token: str) -> AccessToken:
        """Know the tokens that were issued here."""
        if token in self.elsewhere:
            raise NotHeardOf("its key is new")
        if token not in self.tokens:
            raise InvalidToken("the signature is wrong")
        return self.tokens[token]

    async def after(self, place: Place, *, limit: int) -> Sequence[Revocation]:
        """Know of nothing new."""
        assert (place, limit) == (BEGINNING, PAGE)
        return ()

    def is_revoked(self, token: AccessToken) -> bool:
        """Note the question."""
        self.asked.append(token.jti)
        return token.jti in self.revoked

    async def revoke_token(self, *, jti: str, expires_at: int, workspace_id: str, actor: str) -> bool:  # noqa: ARG002
        """Store, unless the store is away."""
        if self.store_away:
            raise TemporarilyUnavailable("database: away")
        new = jti not in self.revoked
        self.revoked.add(jti)
        return new

    async def confirm(self) -> None:
        """Note that what is in force was confirmed to all."""
        self.confirmed += 1

    def by_identifier(self, workspace_id: str, identifier: str) -> Resource | None:
        """Return a resource of a workspace."""
        resource = self.resources.get(identifier)
        return resource if resource and resource.workspace_id == workspace_id else None

    def all(self) -> Sequence[Resource]:
        """Return every resource."""
        return list(self.resources.values())

    def jwks_digest(self) -> str:
        """Return the digest of the only key set."""
        return "k"

    def record(self, event: str, **fields: object) -> None:
        """Note an audit event."""
        self.events.append((event, fields))

    # ── what a test arranges ──

    def add_client(self, client_id: str, workspace_id: str = "default") -> Credentials:
        """Register a client; return what it presents."""
        secret, salt = generate_secret("cs"), new_salt()
        entry = ClientSecret(
            credential_id=f"cred_{client_id}",
            client_id=client_id,
            state=SecretState.ACTIVE,
            secret_hash=str(SecretHash.of(secret, salt)),
            secret_hint=secret[-4:],
            created_at=NOW,
        )
        self.clients[client_id] = Client(
            client_id=client_id,
            workspace_id=workspace_id,
            client_name=client_id,
            secrets=(entry,),
            created_at=NOW,
            updated_at=NOW,
        )
        return Credentials(AuthMethod.CLIENT_SECRET_BASIC, client_id, secret)

    def change_client(self, client_id: str, **changes: object) -> None:
        """Change a client, as another process does: memory hears of it."""
        self.clients[client_id] = replace(self.clients[client_id], **changes)  # type: ignore[arg-type]
        self.directory.forget(client_id)

    def issue(self, client_id: str, **changes: object) -> str:
        """Issue a token; return its text."""
        token = AccessToken(
            issuer="https://as.example",
            subject=client_id,
            audience=(API,),
            client_id=client_id,
            scope="read",
            issued_at=NOW,
            not_before=NOW,
            expires_at=NOW + 3600,
            jti=new_token_id(NOW_MS),
            workspace_id="default",
            credential_id=f"cred_{client_id}",
            kid="kid_1",
            typ=TokenType.AT_JWT,
            claims={"client_id": client_id},
        )
        token = replace(token, **changes)  # type: ignore[arg-type]
        self.tokens[token.jti] = token
        return token.jti

    def introspector(self) -> TokenIntrospector:
        """Return the use case. Its client authentication ends with the event loop."""
        return TokenIntrospector(
            door=self._door(),
            standing=self.standing,
            resources=self,  # type: ignore[arg-type]
            misses=MissBudget(limit=3, clock=lambda: self.now_ms, alarm=lambda _: None),
            audit=self,
        )

    def revoker(self) -> TokenRevoker:
        """Return the use case."""
        return TokenRevoker(
            door=self._door(),
            standing=self.standing,
            revocations=self,  # type: ignore[arg-type]
            audit=self,
            clock=lambda: self.now_ms,
        )

    def feed(self) -> RevocationFeed:
        """Return the use case."""
        return RevocationFeed(
            door=self._door(),
            served=ServedResources(resources=self, look=self.look),  # type: ignore[arg-type]
            revocations=self,  # type: ignore[arg-type]
            keys=self,  # type: ignore[arg-type]
            gate=PollingGate(knowledge=self, grace_seconds=GRACE_SECONDS),
            clock=lambda: self.now_ms,
        )

    def named(self, event: AuditEvent) -> list[dict[str, object]]:
        """Return the fields of the events of one name."""
        return [fields for name, fields in self.events if name == event]

    def _door(self) -> ClientDoor:
        authenticator = ClientAuthenticator(directory=self.directory, clock=lambda: self.now_ms)
        usage = SecretUsage(store=None)  # type: ignore[arg-type] # never flushed here
        return ClientDoor(authenticator=authenticator, usage=usage, audit=self, clock=lambda: self.now_ms)


class _Clients:
    """The client store of a scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def get(self, client_id: str) -> Client | None:
        """Return the client, unless the store is away."""
        if self._scene.store_away:
            raise TemporarilyUnavailable("database: away")
        return self._scene.clients.get(client_id)

    async def page(self, workspace_id: str, *, after: str | None, limit: int) -> Page[Client]:
        """Not asked here."""
        raise NotImplementedError

    async def add(self, client: Client) -> None:
        """Not asked here."""
        raise NotImplementedError

    async def replace(self, client: Client, *, expected_version: int) -> Client:
        """Not asked here."""
        raise NotImplementedError

    async def remove(self, client_id: str, *, expected_version: int | None) -> None:
        """Not asked here."""
        raise NotImplementedError


def resource_served_by(*client_ids: str, workspace_id: str = "default") -> Resource:
    """Return the API, served by these clients."""
    servers: Sequence[str] = client_ids
    return Resource(
        resource_id="res_1",
        workspace_id=workspace_id,
        identifier=API,
        resource_servers=tuple(servers),
        created_at=NOW,
        updated_at=NOW,
    )
