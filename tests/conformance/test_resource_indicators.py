"""Which resource a token is for, and with which scopes: section RES of the catalogue (RFC 8707)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest

from tests.conformance.expectations import assert_refused
from tests.server import Response, RunningServer, claims_of, credentials

PATH = "/oauth2/token"
GRANT = "grant_type=client_credentials"
ORDERS = "https://orders.example.com"
STOCK = "https://stock.example.com/v1?x=1"
FOREIGN = "https://foreign.example.com"


@pytest.fixture(scope="module")
def client(server: RunningServer) -> dict[str, Any]:
    """Return a client of two resources, each with scopes of its own; a third one is not allowed to it."""
    write = {"name": "orders:write", "includes": ["orders:read"]}
    admin = {"name": "orders:admin", "includes": ["orders:write"]}
    server.create_resource(ORDERS, scopes=[admin, write, {"name": "orders:read"}, {"name": "shared"}])
    server.create_resource(STOCK, scopes=[{"name": "stock:read"}, {"name": "shared"}])
    server.create_resource(FOREIGN, scopes=[{"name": "foreign"}, {"name": "shared"}])
    return server.create_client(scope="orders:write stock:read shared foreign", audiences=[ORDERS, STOCK])


def _ask(server: RunningServer, client: Mapping[str, Any], *resources: str, **fields: str) -> Response:
    pairs = [("grant_type", "client_credentials"), *fields.items(), *(("resource", value) for value in resources)]
    return server.form(PATH, pairs, credentials(client))


def _granted(response: Response) -> tuple[str, str]:
    """Return audience and scope of the token in a response."""
    assert response.status == 200, response.body
    body = response.json()
    claims = claims_of(body["access_token"])
    assert body.get("scope") == claims.get("scope")
    return claims["aud"], claims.get("scope", "")


@pytest.mark.parametrize(
    "resource",
    [
        "/api",
        "https://a#f",
        f"{ORDERS}#",
        f"{ORDERS}#fragment",
        "not a uri",
        "https://",
        "orders.example.com",
        "x" * 4096,
        "https://a/" + "x" * 4096,
        "*",
        "%20",
        "é",
        "javascript:alert(1)",
    ],
)
def test_a_malformed_resource_is_refused(server: RunningServer, client: Mapping[str, Any], resource: str) -> None:
    """RES-01: no absolute URI without fragment, no token (RFC 8707 §2); what was sent is not repeated."""
    echoed = [resource] if len(resource) > 3 else []
    assert_refused(_ask(server, client, resource), 400, "invalid_target", *echoed)


@pytest.mark.parametrize(
    "resource",
    [
        FOREIGN,
        "https://unknown.example.com",
        ORDERS + "/",
        ORDERS.upper(),
        ORDERS + ":443",
        "http://orders.example.com",
        "https://stock.example.com/v1",
        "urn:authserver:admin",
        " " + ORDERS,
        quote(ORDERS, safe=""),
    ],
)
def test_a_resource_of_others_is_refused(server: RunningServer, client: Mapping[str, Any], resource: str) -> None:
    """RES-02: only what is allowed to the client, compared as a string; the answer is the same for all others."""
    assert_refused(_ask(server, client, resource), 400, "invalid_target", resource)


def test_the_client_id_is_no_resource(server: RunningServer, client: Mapping[str, Any]) -> None:
    """RES-02: neither its own id nor the issuer is an audience of a client that has others."""
    for resource in (str(client["client_id"]), server.url):
        assert_refused(_ask(server, client, resource), 400, "invalid_target", resource)


@pytest.mark.parametrize("resources", [(ORDERS, FOREIGN), (FOREIGN, ORDERS), (ORDERS, STOCK), (STOCK, ORDERS, ORDERS)])
def test_two_resources_are_refused(
    server: RunningServer, client: Mapping[str, Any], resources: tuple[str, ...]
) -> None:
    """RES-03: a token has one audience: two distinct resources are refused, allowed or not (RFC 9700 §2.3)."""
    assert_refused(_ask(server, client, *resources), 400, "invalid_target", *resources)


def test_one_resource_named_twice_is_one(server: RunningServer, client: Mapping[str, Any]) -> None:
    """RES-03: the same resource twice names one."""
    assert _granted(_ask(server, client, STOCK, STOCK))[0] == STOCK


def test_an_empty_resource_is_an_omitted_one(server: RunningServer, client: Mapping[str, Any]) -> None:
    """RES-01, TOK-06: a parameter without a value counts as omitted (RFC 6749 §3.2), this one too."""
    assert _granted(_ask(server, client, ""))[0] == ORDERS
    assert _granted(_ask(server, client, "", STOCK, ""))[0] == STOCK


@pytest.mark.parametrize("name", ["audience", "aud", "resources", "resource[]"])
def test_audience_is_not_resource(server: RunningServer, client: Mapping[str, Any], name: str) -> None:
    """RES-04: only `resource` names an audience; other parameters are ignored, whatever they hold."""
    assert _granted(_ask(server, client, **{name: FOREIGN}))[0] == ORDERS


def test_the_audience_is_one_resource(server: RunningServer, client: Mapping[str, Any]) -> None:
    """RES-02: each allowed resource can be named; without one it is the first, or the client's default."""
    assert _granted(_ask(server, client))[0] == ORDERS
    assert [_granted(_ask(server, client, resource))[0] for resource in (ORDERS, STOCK)] == [ORDERS, STOCK]
    other = server.create_client(audiences=[ORDERS, STOCK], default_audience=STOCK, scope="")
    assert _granted(_ask(server, other))[0] == STOCK


def test_a_client_without_resources_gets_the_default_audience(server: RunningServer) -> None:
    """RES-07: a client that has no audience gets the server's, never its own id, and can name no other."""
    client = server.create_client(audiences=[])
    assert _granted(_ask(server, client))[0] == server.url
    assert _granted(_ask(server, client, server.url))[0] == server.url
    assert_refused(_ask(server, client, ORDERS), 400, "invalid_target", ORDERS)


@pytest.mark.parametrize(
    ("resource", "scope"),
    [
        (ORDERS, "stock:read"),
        (ORDERS, "orders:read stock:read"),
        (STOCK, "orders:read"),
        (ORDERS, "foreign"),
        (ORDERS, "orders:admin"),
        (STOCK, "shared orders:write"),
    ],
)
def test_a_scope_of_another_resource_is_refused(
    server: RunningServer, client: Mapping[str, Any], resource: str, scope: str
) -> None:
    """RES-06: scopes belong to their resource, also when the client has them elsewhere (RFC 9068 §3)."""
    assert_refused(_ask(server, client, resource, scope=scope), 400, "invalid_scope", scope)


@pytest.mark.parametrize(
    ("resource", "scope"),
    [(ORDERS, "orders:read"), (ORDERS, "shared orders:read orders:write"), (STOCK, "stock:read shared")],
)
def test_a_scope_of_the_resource_is_granted(
    server: RunningServer, client: Mapping[str, Any], resource: str, scope: str
) -> None:
    """RES-06: what is registered and granted is given as asked for; `write` includes `read`, not the reverse."""
    assert _granted(_ask(server, client, resource, scope=scope)) == (resource, scope)


def test_the_default_scope_is_that_of_the_resource(server: RunningServer, client: Mapping[str, Any]) -> None:
    """RES-06, TOK-22: without a scope the client gets what its default set has of this resource."""
    assert _granted(_ask(server, client, ORDERS))[1] == "orders:write shared"
    assert _granted(_ask(server, client, STOCK))[1] == "stock:read shared"
    modest = server.create_client(
        scope="orders:write stock:read", default_scope="stock:read", audiences=[ORDERS, STOCK]
    )
    assert _granted(_ask(server, modest, STOCK))[1] == "stock:read"
    assert _granted(_ask(server, modest, ORDERS))[1] == ""
    assert _granted(_ask(server, modest, ORDERS, scope="orders:write"))[1] == "orders:write"


def test_inclusion_has_one_direction(server: RunningServer) -> None:
    """RES-06: a reader cannot write; an admin can do all that `admin` contains, step by step."""
    reader = server.create_client(scope="orders:read", audiences=[ORDERS])
    assert_refused(_ask(server, reader, scope="orders:write"), 400, "invalid_scope", "orders:write")
    admin = server.create_client(scope="orders:admin", audiences=[ORDERS])
    for scope in ("orders:read", "orders:write", "orders:admin", "orders:read orders:write"):
        assert _granted(_ask(server, admin, scope=scope))[1] == scope
    assert _granted(_ask(server, admin))[1] == "orders:admin"


def test_a_resource_without_scopes_leaves_them_to_the_client(server: RunningServer) -> None:
    """RES-06: a resource that registers no scopes, or is not registered at all, takes those of its clients."""
    server.create_resource("urn:example:open")
    for audience in ("urn:example:open", "urn:example:unregistered"):
        client = server.create_client(scope="rabbitmq.read:*/* b", audiences=[audience])
        assert _granted(_ask(server, client)) == (audience, "rabbitmq.read:*/* b")
        assert _granted(_ask(server, client, scope="rabbitmq.read:*/*"))[1] == "rabbitmq.read:*/*"
        assert_refused(_ask(server, client, scope="c"), 400, "invalid_scope")


def test_a_changed_resource_counts_at_once(server: RunningServer) -> None:
    """RES-06: a scope taken from a resource is granted no more, from the next request on."""
    identifier = "https://changing.example.com"
    resource = server.create_resource(identifier, scopes=[{"name": "a"}, {"name": "b"}])
    client = server.create_client(scope="a b", audiences=[identifier])
    assert _granted(_ask(server, client))[1] == "a b"
    path = f"/resources/{quote(str(resource['resource_id']), safe='')}"
    assert server.admin("PATCH", path, {"scopes": [{"name": "a"}]}).status == 200
    assert _granted(_ask(server, client))[1] == "a"
    assert_refused(_ask(server, client, scope="b"), 400, "invalid_scope")
