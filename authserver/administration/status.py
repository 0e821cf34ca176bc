"""What the server is and how it does, from what it holds in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from authserver.administration.actor import Actor
from authserver.administration.scopes import AdminScope
from authserver.administration.signing_keys import Keys
from authserver.core.clock import Clock, seconds
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState
from authserver.resources.catalog import ResourceCatalog


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAge:
    """An active signing key and for how many seconds it has signed."""

    kid: str
    alg: SigningAlg
    age_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The server at one moment."""

    version: str
    issuer: str
    workspaces: tuple[str, ...]
    resources: int
    revocations_held: int
    signing_keys: tuple[KeyAge, ...]


class StatusAdministration:
    """The verb for the server's status."""

    def __init__(
        self,
        *,
        version: str,
        issuer: str,
        resources: ResourceCatalog,
        keys: Keys,
        revocations_held: Callable[[], int],
        clock: Clock,
    ) -> None:
        """Count what is in memory; nothing here asks the database."""
        self._version = version
        self._issuer = issuer
        self._resources = resources
        self._keys = keys
        self._revocations_held = revocations_held
        self._clock = clock

    async def get(self, actor: Actor) -> Status:
        """Return the status of the actor's workspace; raise InsufficientScope."""
        actor.require(AdminScope.STATUS_READ)
        now = seconds(self._clock())
        return Status(
            version=self._version,
            issuer=self._issuer,
            workspaces=(actor.workspace_id,),
            resources=sum(resource.workspace_id == actor.workspace_id for resource in self._resources.all()),
            revocations_held=self._revocations_held(),
            signing_keys=tuple(
                KeyAge(kid=key.kid, alg=key.alg, age_seconds=max(now - (key.activated_at or key.published_at), 0))
                for key in self._keys.list()
                if key.state is KeyState.ACTIVE and key.workspace_id == actor.workspace_id
            ),
        )
