"""The verifier configuration of a resource, for an administrator who sets its services up."""

from __future__ import annotations

from authserver.administration.actor import Actor
from authserver.administration.resources import ResourceAdministration
from authserver.administration.signing_keys import SigningKeyAdministration
from authserver.core.resource import Resource, SigningAlg
from authserver.resources.verifier_config import (
    SharedSecret,
    VerifierAddresses,
    VerifierConfiguration,
    shared_keys_of,
    verifier_configuration,
)


class VerifierConfigAdministration:
    """The verb for verifier configurations."""

    def __init__(
        self, *, resources: ResourceAdministration, signing_keys: SigningKeyAdministration, addresses: VerifierAddresses
    ) -> None:
        """Let verifiers ask at `addresses`."""
        self._resources = resources
        self._signing_keys = signing_keys
        self._addresses = addresses

    async def export(self, actor: Actor, resource_id: str) -> VerifierConfiguration:
        """Return the document of one resource; that of HS256 holds its secrets.

        Raises NotFound, or InsufficientScope: the secrets need what exporting each of them needs, and are recorded
        in the audit as such exports.
        """
        resource = await self._resources.get(actor, resource_id)
        return verifier_configuration(resource, self._addresses, await self._secrets(actor, resource))

    async def _secrets(self, actor: Actor, resource: Resource) -> list[SharedSecret]:
        if resource.signing_alg is not SigningAlg.HS256:
            return []
        keys = shared_keys_of(resource, await self._signing_keys.list(actor))
        return [SharedSecret(key.kid, await self._signing_keys.export_secret(actor, key.kid)) for key in keys]
