"""The verifier configuration for the services of a resource, which set themselves up with nothing but credentials."""

from __future__ import annotations

from collections.abc import Sequence

from authserver.audit.events import AuditEvent
from authserver.core.client import Client
from authserver.core.credentials import Credentials
from authserver.core.errors import AccessDenied, InvalidRequest
from authserver.core.ports import AuditSink
from authserver.core.resource import Resource
from authserver.keys.ring import KeyRing
from authserver.resources.verifier_config import (
    SharedSecret,
    VerifierAddresses,
    VerifierConfiguration,
    shared_keys_of,
    verifier_configuration,
)
from authserver.tokens.authenticate import ClientDoor
from authserver.tokens.served import ServedResources


class VerifierSetup:
    """Hands the resource servers of a resource its verifier configuration."""

    def __init__(
        self,
        *,
        door: ClientDoor,
        served: ServedResources,
        keys: KeyRing,
        addresses: VerifierAddresses,
        audit: AuditSink,
    ) -> None:
        """Let verifiers ask at `addresses`."""
        self._door = door
        self._served = served
        self._keys = keys
        self._addresses = addresses
        self._audit = audit

    async def configuration(self, credentials: Credentials, identifier: str | None) -> VerifierConfiguration:
        """Return the document of the resource with this identifier, or of the only one that the client serves.

        That of HS256 holds the secrets, which its services share; the audit records it as an export by the client.
        Raises InvalidClient, AccessDenied unless the client serves the resource, whether or not there is one, and
        InvalidRequest without an identifier from a client that serves several.
        """
        caller = (await self._door.admit(credentials)).client
        resource = _chosen(await self._served.of(caller, identifier), identifier)
        return verifier_configuration(resource, self._addresses, self._secrets(caller, resource))

    def _secrets(self, caller: Client, resource: Resource) -> Sequence[SharedSecret]:
        secrets = []
        for key in shared_keys_of(resource, self._keys.list()):
            secrets.append(SharedSecret(key.kid, self._keys.export_secret(key.kid)))
            self._audit.record(
                AuditEvent.SIGNING_KEY_SECRET_EXPORTED,
                actor=f"client:{caller.client_id}",
                workspace_id=caller.workspace_id,
                kid=key.kid,
            )
        return secrets


def _chosen(served: Sequence[Resource], identifier: str | None) -> Resource:
    if identifier is None and len(served) > 1:
        raise InvalidRequest("resource is missing, and the client serves several")
    for resource in served:
        if identifier in {None, resource.identifier}:
            return resource
    raise AccessDenied("the client is no resource server of this resource")
