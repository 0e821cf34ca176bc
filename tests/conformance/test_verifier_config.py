"""The verifier configuration for resource servers: a service with an address and credentials sets itself up."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import jwt
import pytest

from tests.conformance.expectations import assert_refused, assert_unauthenticated, events, fingerprint
from tests.server import Response, RunningServer, basic, credentials, header_of

PATH = "/oauth2/verifier-config"
ORDERS = "https://orders.example.com"
BILLING = "https://billing.example.com/a?b=c&d=+ü".replace("ü", "%C3%BC")
LEDGER = "https://ledger.example.com"
FOREIGN = "https://foreign.example.com"


@pytest.fixture(scope="module")
def single(server: RunningServer) -> dict[str, Any]:
    """Return a client that is resource server of one resource, the orders API."""
    client = server.create_client(client_name="orders service")
    scopes = [{"name": "read"}, {"name": "write", "includes": ["read"]}]
    server.create_resource(ORDERS, scopes=scopes, resource_servers=[client["client_id"]])
    server.create_resource(FOREIGN)
    return client


@pytest.fixture(scope="module")
def several(server: RunningServer) -> dict[str, Any]:
    """Return a client that is resource server of two resources; the tokens of one are signed with HS256."""
    client = server.create_client(client_name="finance service")
    server.create_resource(BILLING, signing_alg="RS256", resource_servers=[client["client_id"]])
    server.create_resource(LEDGER, signing_alg="HS256", resource_servers=[client["client_id"]])
    return client


def ask(server: RunningServer, client: Mapping[str, Any], query: str = "") -> Response:
    """Ask for the document of `?resource=…`."""
    return server.get(PATH + query, {"Authorization": basic(*credentials(client))})


def test_the_only_resource_need_not_be_named(server: RunningServer, single: dict[str, Any]) -> None:
    """Named, not named or named by nothing: the same document, kept by no cache, as the management API has it."""
    answers = [
        ask(server, single, query) for query in ("", f"?resource={ORDERS}", f"?resource={quote(ORDERS, safe='')}")
    ]
    answers.append(ask(server, single, "?resource="))
    for answer in answers:
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.json() == {
            "issuer": server.url,
            "audience": ORDERS,
            "workspace_id": "default",
            "algorithms": ["ES256"],
            "typ": "at+jwt",
            "jwks_uri": f"{server.url}/.well-known/jwks.json",
            "introspection_endpoint": f"{server.url}/oauth2/introspect",
            "revocations_endpoint": f"{server.url}/oauth2/revocations",
            "scopes": [
                {"name": "read", "description": "", "includes": []},
                {"name": "write", "description": "", "includes": ["read"]},
            ],
        }
    (resource_id,) = [r["resource_id"] for r in resources(server) if r["identifier"] == ORDERS]
    assert server.admin("GET", f"/resources/{resource_id}/verifier-config").json() == answers[0].json()


def resources(server: RunningServer) -> list[dict[str, Any]]:
    """Return all resources."""
    items: list[dict[str, Any]] = server.admin("GET", "/resources").json()["items"]
    return items


def test_a_service_sets_itself_up(server: RunningServer, single: dict[str, Any]) -> None:
    """All that it takes to check a token stands in the document; its addresses answer the same credentials."""
    document = ask(server, single).json()
    token = server.token(server.create_client(audiences=[ORDERS]))
    keys = server.get(document["jwks_uri"].removeprefix(server.url)).json()["keys"]
    (key,) = [key for key in keys if key["kid"] == header_of(token)["kid"]]
    claims = jwt.decode(
        token,
        jwt.PyJWK(key),
        algorithms=document["algorithms"],
        audience=document["audience"],
        issuer=document["issuer"],
    )
    assert header_of(token)["typ"] == document["typ"]
    assert claims["workspace_id"] == document["workspace_id"]
    path = document["introspection_endpoint"].removeprefix(server.url)
    assert server.form(path, {"token": token}, credentials(single)).json()["active"] is True
    feed = server.get(
        document["revocations_endpoint"].removeprefix(server.url), {"Authorization": basic(*credentials(single))}
    )
    assert feed.status == 200


def test_one_of_several_is_named(server: RunningServer, several: dict[str, Any]) -> None:
    """A client that serves several names one, whatever characters it has; none is invalid_request."""
    document = ask(server, several, f"?resource={quote(BILLING, safe='')}").json()
    assert (document["audience"], document["algorithms"]) == (BILLING, ["RS256"])
    assert_refused(ask(server, several), 400, "invalid_request")
    assert_refused(ask(server, several, "?resource="), 400, "invalid_request")


def test_shared_secrets_go_to_who_shares_them(server: RunningServer, several: dict[str, Any]) -> None:
    """HS256: the document holds the secrets, the active one first, and the audit has each export by the client."""
    token = server.token(server.create_client(audiences=[LEDGER]))
    document = ask(server, several, f"?resource={LEDGER}").json()
    assert "jwks_uri" not in document
    secret = base64.urlsafe_b64decode(document["shared_secret"] + "==")
    assert jwt.decode(token, secret, algorithms=document["algorithms"], audience=LEDGER)["iss"] == server.url
    assert document["jwks"]["keys"][0] == {
        "kty": "oct",
        "alg": "HS256",
        "use": "sig",
        "kid": header_of(token)["kid"],
        "k": document["shared_secret"],
    }
    exports = [
        event for event in events(server, "signing_key.secret_exported") if event["kid"] == header_of(token)["kid"]
    ]
    assert [event["actor"] for event in exports] == [f"client:{several['client_id']}"]
    assert not any(key["k"] in server.log() for key in document["jwks"]["keys"])


def test_nobody_else_learns_anything(server: RunningServer, single: dict[str, Any], several: dict[str, Any]) -> None:
    """A resource of others, one that is not there and no resource at all are one and the same refusal."""
    stranger = server.create_client(audiences=[ORDERS])
    refusals = [
        *(ask(server, single, f"?resource={other}") for other in (FOREIGN, LEDGER, "https://nowhere.example", "x")),
        *(
            ask(server, single, f"?resource={other}")
            for other in (f"{ORDERS}/", ORDERS.upper(), "urn:authserver:admin")
        ),
        *(ask(server, stranger, query) for query in ("", f"?resource={ORDERS}")),
        ask(server, several, f"?resource={ORDERS}"),
    ]
    for refusal in refusals:
        assert_refused(refusal, 403, "access_denied", ORDERS, LEDGER)
        assert fingerprint(refusal) == fingerprint(refusals[0])


def test_bad_credentials(server: RunningServer, single: dict[str, Any]) -> None:
    """No credentials, wrong ones and those of nobody are 401, whatever is asked for."""
    for query in ("", f"?resource={ORDERS}", "?resource=x"):
        for authorization in (
            {},
            {"Authorization": basic(single["client_id"], "wrong")},
            {"Authorization": "Bearer x"},
        ):
            assert_unauthenticated(server.get(PATH + query, authorization))


@pytest.mark.parametrize(
    "query",
    [
        f"?resource={ORDERS}&resource={ORDERS}",
        f"?resource={ORDERS}&resource=",
        f"?resource={ORDERS}&audience=x",
        "?client_secret=x",
        "?resource=" + "x" * 2048,
        "?resource=%ff",
    ],
)
def test_a_malformed_query_is_refused(server: RunningServer, single: dict[str, Any], query: str) -> None:
    """Unknown, repeated, oversized and undecodable parameters are invalid_request."""
    assert_refused(ask(server, single, query), 400, "invalid_request")


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS"])
def test_only_get(server: RunningServer, single: dict[str, Any], method: str) -> None:
    """The document is read by GET alone."""
    answer = server.request(method, PATH, None, {"Authorization": basic(*credentials(single))})
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


def test_a_client_that_serves_no_more_is_refused(server: RunningServer) -> None:
    """A change of `resource_servers`, and a disabled client, count at once."""
    client = server.create_client()
    resource = server.create_resource("https://left.example.com", resource_servers=[client["client_id"]])
    assert ask(server, client).status == 200
    server.admin("PATCH", f"/resources/{resource['resource_id']}", {"resource_servers": []})
    assert_refused(ask(server, client), 403, "access_denied")
    server.admin("PATCH", f"/resources/{resource['resource_id']}", {"resource_servers": [client["client_id"]]})
    server.admin("PATCH", f"/clients/{client['client_id']}", {"status": "disabled"})
    assert ask(server, client).status == 401


def test_it_is_described(server: RunningServer) -> None:
    """OpenAPI has both ways to the document, and one schema with all its members."""
    described = server.get("/openapi.json").json()
    ways = [described["paths"][path]["get"] for path in (PATH, "/admin/v1/resources/{resource_id}/verifier-config")]
    schemas = [way["responses"]["200"]["content"]["application/json"]["schema"] for way in ways]
    assert schemas == [{"$ref": "#/components/schemas/VerifierConfiguration"}] * 2
    members = set(described["components"]["schemas"]["VerifierConfiguration"]["properties"])
    assert members >= {
        "issuer",
        "audience",
        "workspace_id",
        "jwks_uri",
        "shared_secret",
        "jwks",
        "revocations_endpoint",
    }
