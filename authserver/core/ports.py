"""The store Protocols: what the capabilities ask of a storage backend, as verbs that state their guarantee.

Every write is one atomic transaction, durable when the call returns. Every method raises
`TemporarilyUnavailable` when the backend fails, and never returns a guess. A change of a client,
resource, template or signing key leaves a row in the change log within the same transaction.
Each backend passes `tests/storage/contract.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from authserver.core.claims_template import StoredTemplate
from authserver.core.client import Client, ClientSecret
from authserver.core.resource import Resource
from authserver.core.revocation import Revocation
from authserver.core.signing_key import SigningKey

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """One page of a list, ordered by key; `next_after` starts the next one, None ends the list."""

    items: Sequence[T_co]
    next_after: str | None


class ChangeKind(StrEnum):
    """What a row of the change log is about."""

    CLIENT = "client"
    RESOURCE = "resource"
    TEMPLATE = "template"
    SIGNING_KEY = "signing_key"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that caches must forget: `key` is a client id, resource id, workspace id or kid."""

    sequence: int
    kind: ChangeKind
    key: str


class ClientStore(Protocol):
    """Registered clients, each with its live secrets."""

    async def get(self, client_id: str) -> Client | None:
        """Return the client with exactly this id, byte for byte, with its secrets."""

    async def page(self, workspace_id: str, *, after: str | None, limit: int) -> Page[Client]:
        """Return up to `limit` clients with ids greater than `after`, in the order of their ids."""

    async def add(self, client: Client) -> None:
        """Store a new client and its secrets; raise Conflict when the id is taken."""

    async def replace(self, client: Client, *, expected_version: int) -> Client:
        """Store new metadata (secrets untouched) as version `expected_version + 1` and return it.

        Raises NotFound, or PreconditionFailed when the stored version is another.
        """

    async def remove(self, client_id: str, *, expected_version: int | None) -> None:
        """Delete the client, its secrets and its appointments as resource server.

        Raises NotFound, or PreconditionFailed when a version is given and the stored one is another.
        """


class ClientSecretStore(Protocol):
    """The one or two live secrets of a client."""

    async def start_rotation(self, secret: ClientSecret) -> None:
        """Add the next secret; raise NotFound (client), or Conflict when a rotation is under way."""

    async def complete_rotation(self, client_id: str) -> None:
        """Delete the active secret and make the next one active; raise NotFound, Conflict (no rotation)."""

    async def cancel_rotation(self, client_id: str) -> None:
        """Delete the next secret; raise NotFound, or Conflict when no rotation is under way."""

    async def remove(self, client_id: str, credential_id: str) -> None:
        """Delete one secret at once; a next secret that stays alone becomes active. Raises NotFound."""

    async def record_use(self, last_used_at: Mapping[str, int]) -> None:
        """Set `last_used_at` (seconds) of each credential id, never backwards; leaves no change row."""


class ResourceStore(Protocol):
    """Resources of all workspaces; few enough to be held in memory."""

    async def all(self) -> Sequence[Resource]:
        """Return every resource, in the order of their identifiers."""

    async def add(self, resource: Resource, *, key: SigningKey | None) -> None:
        """Store a new resource and its HS256 key, if it has one.

        Raises Conflict when the identifier is taken in its workspace.
        """

    async def replace(self, resource: Resource, *, expected_version: int, key: SigningKey | None) -> Resource:
        """Store as version `expected_version + 1` and return it; `key` as in `add`, for a new HS256 policy.

        Raises NotFound, Conflict (identifier taken), or PreconditionFailed.
        """

    async def remove(self, resource_id: str, *, expected_version: int | None) -> None:
        """Delete the resource, its templates and its HS256 keys; raise NotFound or PreconditionFailed."""


class TemplateStore(Protocol):
    """Claims templates and their earlier versions."""

    async def current(self) -> Sequence[StoredTemplate]:
        """Return the newest version of every template, removed ones left out."""

    async def history(self, workspace_id: str, resource_id: str | None) -> Sequence[StoredTemplate]:
        """Return all versions of one template, newest first."""

    async def save(self, template: StoredTemplate) -> None:
        """Store `template.version`, which must follow the newest stored one; raise PreconditionFailed."""


class SigningKeyStore(Protocol):
    """Signing keys of all workspaces; few enough to be held in memory."""

    async def all(self) -> Sequence[SigningKey]:
        """Return every key that is not GONE, and those gone keys that were revoked."""

    async def change(self, *, before: Sequence[SigningKey], after: Sequence[SigningKey]) -> None:
        """Replace the keys `before` by `after` (same kids updated, new kids added) in one step.

        Raises Conflict when a key of `before` is no longer in the state given, or when another writer
        has already put a key of the same owner, alg and state in place: of many instances one wins.
        """


class RevocationStore(Protocol):
    """Revocations, in the order in which they were made."""

    async def add(self, revocations: Sequence[Revocation]) -> Sequence[Revocation]:
        """Store all; return those that were new or moved a watermark forward, with their sequence.

        A `jti` already revoked is left as it is; a watermark only moves forward.
        """

    def since(self, sequence: int) -> AsyncIterator[Sequence[Revocation]]:
        """Yield batches of the entries with a greater sequence, in order."""

    async def page(self, *, after: int, limit: int) -> Sequence[Revocation]:
        """Return up to `limit` entries with a sequence greater than `after`, in order."""

    async def prune(self, now_seconds: int) -> int:
        """Delete the entries whose `expires_at` has passed; return how many."""


class ChangeLog(Protocol):
    """What any process has changed, so that every cache follows within a second."""

    async def stamp(self) -> object:
        """Return a value that differs whenever another process may have written since; cheap."""

    async def position(self) -> int:
        """Return the newest sequence of the log, 0 when it is empty."""

    async def since(self, sequence: int) -> Sequence[Change] | None:
        """Return the changes after `sequence`, or None when the log no longer reaches back that far."""


class StateStore(Protocol):
    """A few facts about the deployment itself, such as the issuer that it serves."""

    async def get(self, name: str) -> str | None:
        """Return the value stored under `name`."""

    async def put(self, name: str, value: str) -> None:
        """Store a value under `name`."""


class Knowledge(Protocol):
    """How old this process's knowledge of other processes' writes is."""

    def require_fresh(self, grace_seconds: int) -> float:
        """Return how many seconds ago the last successful look was.

        Raises TemporarilyUnavailable when that is longer than `grace_seconds`.
        """


class CompletenessGate(Protocol):
    """Whether memory holds every revocation that any instance has acknowledged."""

    async def require_complete(self) -> float:
        """Wait until memory holds every revocation acknowledged up to some moment.

        Return how many seconds ago that was, 0 if it was this call. Raises TemporarilyUnavailable.
        """


class AuditSink(Protocol):
    """Where security events go."""

    def record(self, event: str, **fields: object) -> None:
        """Record one event of the fixed vocabulary. Never raises, never blocks, never gets a secret."""


#: How long a beacon stays lit: for no longer can an instance that has lost the database miss a revocation.
LEASE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Mark:
    """What a lit beacon shows: the newest revocation's sequence, and an epoch that no other filling of it has."""

    epoch: str
    sequence: int


class Beacon(Protocol):
    """A light that all instances see: how far the revocations have come, and that something was changed.

    It stores nothing that the database has not got; losing it costs time, never a revocation. It goes out by itself:
    while it is lit, its sequence was the database's newest at some moment of the last `LEASE_SECONDS`, or later.
    """

    async def read(self) -> Mark | None:
        """Return what it shows, None when it is out or was emptied; raise TemporarilyUnavailable."""

    async def time_ms(self) -> int:
        """Return the time by its own clock, in milliseconds; raise TemporarilyUnavailable."""

    async def raise_to(self, sequence: int, *, seen_after_ms: int | None = None) -> None:
        """Let it show at least `sequence`, and tell all listeners if that is news.

        With `seen_after_ms`, a time that it told before the database was asked and `sequence` was found the newest,
        it is lit until `LEASE_SECONDS` after that time, unless it shows more already. Without, an unlit one stays so.
        Never lowers it, so that repeating a call, or a call that arrives late, is harmless. Raises
        TemporarilyUnavailable.
        """

    async def announce(self) -> None:
        """Tell all listeners that something other than revocations was changed; raise TemporarilyUnavailable."""

    def heard(self) -> AsyncIterator[None]:
        """Yield once for each announcement, and once after each lost connection: something may be missed."""
