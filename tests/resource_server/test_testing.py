"""The issuer for the tests of services: its tokens pass the real check, and nobody else's do."""

from __future__ import annotations

import json

import pytest

from authserver.core.errors import ConfigurationError
from authserver.resource_server import InsufficientScope, InvalidToken, ThreadVerifier, Verifier
from authserver.resource_server.testing import LocalIssuer
from tests.resource_server.issuer import SCOPES, Issuer

ES256 = Issuer()
ORDERS = {"audience": "https://orders.example", "scopes": SCOPES}


def verifier_of(issuer: LocalIssuer) -> ThreadVerifier:
    """Return a verifier that believes the issuer and asks nobody."""
    return ThreadVerifier.from_config(issuer.document, follow_revocations=False)


def test_a_token_passes_the_real_check() -> None:
    """Scopes, inclusion and custom claims are those of a real token."""
    issuer = LocalIssuer(ORDERS)
    with verifier_of(issuer) as verifier:
        token = verifier.verify(issuer.token("write", client_id="billing", tenant=7), all_of="read")
        assert (token.client_id, token.subject, token.custom_claims) == ("billing", "billing", {"tenant": 7})
        with pytest.raises(InsufficientScope):
            verifier.verify(issuer.token("read"), all_of="write")


@pytest.mark.parametrize(
    "changes", [{"ttl_seconds": -60}, {"aud": "https://other.example"}, {"iss": "https://x.example"}]
)
def test_what_a_service_must_refuse(changes: dict[str, object]) -> None:
    """Tokens that are wrong in one way are as easily made."""
    issuer = LocalIssuer(ORDERS)
    with verifier_of(issuer) as verifier, pytest.raises(InvalidToken):
        verifier.verify(issuer.token("read", **changes))  # type: ignore[arg-type]


def test_two_issuers_do_not_believe_each_other() -> None:
    """Each has a secret of its own, which no repr shows."""
    one, other = LocalIssuer(ORDERS), LocalIssuer(ORDERS)
    with verifier_of(one) as verifier, pytest.raises(InvalidToken):
        verifier.verify(other.token())
    assert one.document["jwks"]["keys"][0]["k"] not in repr(one)


def test_it_can_stand_in_for_a_real_one() -> None:
    """The configuration of the real resource is the pattern; what only the real server has is not asked."""
    issuer = LocalIssuer(json.loads(json.dumps(ES256.document())))
    with verifier_of(issuer) as verifier:
        assert verifier.verify(issuer.token("write"), all_of="read").audience == (ES256.audience,)
        with pytest.raises(InvalidToken):
            verifier.verify(ES256.mint())


def test_a_document_that_says_nothing_is_refused() -> None:
    """The verifier says what is missing."""
    with pytest.raises(ConfigurationError, match="audience"):
        Verifier.from_config(LocalIssuer({}).document, follow_revocations=False)
