"""The verifier configuration, `GET /oauth2/verifier-config?resource=URI`, for resource servers."""

from __future__ import annotations

from authserver.endpoints.metadata import INTROSPECTION_PATH, JWKS_PATH, REVOCATIONS_PATH
from authserver.endpoints.query import read_query
from authserver.resources.verifier_config import VerifierAddresses
from authserver.tokens.verifier_config import VerifierSetup
from authserver.wire.answers import json_answer
from authserver.wire.credentials import presented_credentials
from authserver.wire.form import Form
from authserver.wire.http import Answer, Request

VERIFIER_CONFIG_PATH = "/oauth2/verifier-config"

#: Room for the longest identifier with each of its characters escaped.
MAX_QUERY_BYTES = 2048


def verifier_addresses(issuer: str) -> VerifierAddresses:
    """Return what the verifiers of a server at `issuer` are told to ask."""
    base = issuer.rstrip("/")
    return VerifierAddresses(
        issuer=issuer,
        jwks_uri=base + JWKS_PATH,
        introspection_endpoint=base + INTROSPECTION_PATH,
        revocations_endpoint=base + REVOCATIONS_PATH,
    )


class VerifierConfigEndpoint:
    """Tells a service all that it needs to check the tokens of its resource by itself."""

    methods = frozenset({"GET"})

    def __init__(self, *, setup: VerifierSetup) -> None:
        """Ask `setup`."""
        self._setup = setup

    async def __call__(self, request: Request) -> Answer:
        """Answer with the document; `resource` may be omitted by a client that serves one only."""
        query = read_query(request, {"resource"}, max_bytes=MAX_QUERY_BYTES)
        credentials = presented_credentials(request, Form({}))
        request.notes["client_id"] = credentials.client_id
        configuration = await self._setup.configuration(credentials, query.get("resource"))
        return json_answer(configuration.document())
