"""The protected resource metadata (RFC 9728): where it is, and what is said while it is not known."""

from __future__ import annotations

import json

import pytest

from authserver.resource_server import MissingToken, ThreadVerifier
from authserver.resource_server.metadata import ProtectedResource, metadata_url
from tests.redis_server import wait_for
from tests.resource_server.deployment import RESOURCE, Deployment

WELL_KNOWN = "/.well-known/oauth-protected-resource"
ELSEWHERE = f"https://gateway.example.com{WELL_KNOWN}/eu/orders"


@pytest.mark.parametrize(
    ("identifier", "url"),
    [
        ("https://api.example.com", f"https://api.example.com{WELL_KNOWN}"),
        ("https://api.example.com/", f"https://api.example.com{WELL_KNOWN}"),
        ("https://api.example.com:8443/v1", f"https://api.example.com:8443{WELL_KNOWN}/v1"),
        ("https://api.example.com/v1/", f"https://api.example.com{WELL_KNOWN}/v1/"),
        ("https://api.example.com/?a=b", f"https://api.example.com{WELL_KNOWN}?a=b"),
        ("https://api.example.com/v1?a=b", f"https://api.example.com{WELL_KNOWN}/v1?a=b"),
        ("urn:example:orders", ""),
    ],
)
def test_the_path_goes_before_that_of_the_resource(identifier: str, url: str) -> None:
    """RFC 9728 §3.1: between host and path, after a lone slash is dropped."""
    assert metadata_url(identifier) == url


def test_a_resource_that_is_no_url_has_no_description(deployment: Deployment) -> None:
    """RFC 9728 §1.2: an identifier of another scheme leads nowhere, so nothing points there and nothing is there."""
    document = {**deployment.document, "audience": "urn:example:orders"}
    resource = ProtectedResource(deployment.verifier(ThreadVerifier, document))
    assert not resource.serves(WELL_KNOWN)
    assert "resource_metadata" not in dict(resource.refuse(MissingToken("why")).headers)["WWW-Authenticate"]


def test_the_description_can_be_elsewhere(deployment: Deployment) -> None:
    """Behind a gateway that has another name for the service."""
    resource = ProtectedResource(deployment.verifier(ThreadVerifier), metadata_url=ELSEWHERE)
    assert [path for path in ("", "/eu/orders", "/orders") if resource.serves(WELL_KNOWN + path)] == ["", "/eu/orders"]
    challenge = dict(resource.refuse(MissingToken("why")).headers)["WWW-Authenticate"]
    assert challenge == f'Bearer resource_metadata="{ELSEWHERE}"'


def test_a_configuration_that_has_to_be_fetched_is_fetched_for_the_description(deployment: Deployment) -> None:
    """Who has no token yet must learn where to get one: the first question is enough to start the verifier."""
    url = f"{deployment.server.url}/oauth2/verifier-config"
    verifier = ThreadVerifier.from_config(url, **deployment.options)
    resource = ProtectedResource(verifier)
    try:
        assert resource.serves(f"{WELL_KNOWN}/orders")
        assert resource.describe().status == 503
        wait_for(lambda: resource.describe().status == 200, "the configuration")
        assert json.loads(resource.describe().body)["resource"] == RESOURCE
    finally:
        verifier.close()


def test_a_browser_may_ask_before_it_fetches(deployment: Deployment) -> None:
    """A client in a browser sends MCP-Protocol-Version: its preflight is answered, where the description is."""
    resource = ProtectedResource(deployment.verifier(ThreadVerifier))
    for path in (WELL_KNOWN, f"{WELL_KNOWN}/orders"):
        answer = resource.own_answer("OPTIONS", path)
        assert answer is not None
        assert (answer.status, answer.body) == (204, b"")
        assert dict(answer.headers) == {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET",
            "Access-Control-Allow-Headers": "*",
            "Access-Control-Max-Age": "86400",
        }


@pytest.mark.parametrize(
    ("method", "path"), [("OPTIONS", f"{WELL_KNOWN}/other"), ("OPTIONS", "/"), ("POST", WELL_KNOWN), (None, WELL_KNOWN)]
)
def test_all_else_is_the_applications(deployment: Deployment, method: str | None, path: str) -> None:
    """Other paths and methods, and WebSockets."""
    assert ProtectedResource(deployment.verifier(ThreadVerifier)).own_answer(method, path) is None
