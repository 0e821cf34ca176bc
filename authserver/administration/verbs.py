"""All that can be administered, as one value: the management API and the command line are handed it."""

from __future__ import annotations

from dataclasses import dataclass

from authserver.administration.client_secrets import SecretAdministration
from authserver.administration.clients import ClientAdministration
from authserver.administration.resources import ResourceAdministration
from authserver.administration.revocations import RevocationAdministration
from authserver.administration.signing_keys import SigningKeyAdministration
from authserver.administration.status import StatusAdministration
from authserver.administration.templates import TemplateAdministration
from authserver.administration.verifier_config import VerifierConfigAdministration


@dataclass(frozen=True, slots=True, kw_only=True)
class Verbs:
    """Every verb of an administrator."""

    clients: ClientAdministration
    secrets: SecretAdministration
    resources: ResourceAdministration
    templates: TemplateAdministration
    signing_keys: SigningKeyAdministration
    verifier_configs: VerifierConfigAdministration
    revocations: RevocationAdministration
    status: StatusAdministration
