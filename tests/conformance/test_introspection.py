"""Introspection from outside: section INT of the catalogue (RFC 7662)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance.expectations import (
    assert_not_logged,
    assert_refused,
    assert_safe,
    assert_unauthenticated,
    events,
    fingerprint,
)
from tests.conformance.forge import Forge, badly_signed
from tests.server import API, RunningServer, claims_of, credentials

PATH = "/oauth2/introspect"
INACTIVE = b'{"active":false}'
OTHER_API = "https://other.example.com"

Client = dict[str, Any]


@dataclass(frozen=True)
class Cast:
    """Who plays: the client of the token, its resource server, another audience's, and a bystander."""

    owner: Client
    resource_server: Client
    other_server: Client
    bystander: Client


@pytest.fixture(scope="module")
def cast(server: RunningServer) -> Cast:
    """Create two resources with a resource server each, and two clients."""
    names = ("owner", "resource_server", "other_server", "bystander")
    clients = {name: server.create_client(client_name=name) for name in names}
    server.create_resource(API, resource_servers=[clients["resource_server"]["client_id"]])
    server.create_resource(OTHER_API, resource_servers=[clients["other_server"]["client_id"]])
    return Cast(**clients)


def assert_inactive(server: RunningServer, token: str, caller: Client) -> None:
    """Assert 200 and exactly `{"active":false}`."""
    response = server.introspect(token, caller)
    assert (response.status, response.body) == (200, INACTIVE), response.body
    assert_safe(response)


def test_int_01_no_credentials(server: RunningServer, cast: Cast) -> None:
    """INT-01: without credentials 401 with WWW-Authenticate, though the token is good."""
    token = server.token(cast.owner)
    assert_unauthenticated(server.form(PATH, {"token": token}), token)
    assert_unauthenticated(server.form(PATH, {"token": token, "client_id": cast.owner["client_id"]}), token)


@pytest.mark.parametrize("secret", ["wrong", "cs_" + "0" * 49])
def test_int_01_wrong_credentials(server: RunningServer, cast: Cast, secret: str) -> None:
    """INT-01: a wrong secret is refused as at the token endpoint."""
    token = server.token(cast.owner)
    response = server.form(PATH, {"token": token}, (cast.owner["client_id"], secret))
    assert_unauthenticated(response, token, secret)


def test_int_02_a_client_without_the_permission(server: RunningServer, cast: Cast) -> None:
    """INT-02: a client that serves no resource is told `active: false` about another's token, and it is audited."""
    token = server.token(cast.owner)
    assert_inactive(server, token, cast.bystander)
    denied = [event for event in events(server, "introspection.denied") if event["jti"] == claims_of(token)["jti"]]
    assert [event["client_id"] for event in denied] == [cast.bystander["client_id"]]


def test_int_03_the_permission_matrix(server: RunningServer, cast: Cast) -> None:
    """INT-03: the client itself and the resource server of the audience see the token; nobody else does."""
    token = server.token(cast.owner)
    for caller in (cast.owner, cast.resource_server):
        answer = server.introspect(token, caller).json()
        assert answer.pop("active") is True
        assert answer.pop("token_type") == "Bearer"
        assert answer == claims_of(token)
    for caller in (cast.other_server, cast.bystander):
        assert_inactive(server, token, caller)


def test_int_03_the_permission_follows_the_resource(server: RunningServer, cast: Cast) -> None:
    """INT-03: who is appointed resource server may ask from then on, who is dismissed may not."""
    identifier = "https://appointed.example.com"
    resource = server.create_resource(identifier, resource_servers=[])
    token = server.token(server.create_client(audiences=[identifier]))
    path = f"/resources/{resource['resource_id']}"
    assert_inactive(server, token, cast.bystander)
    server.admin("PATCH", path, {"resource_servers": [cast.bystander["client_id"]]})
    assert server.introspect(token, cast.bystander).json()["active"] is True
    server.admin("PATCH", path, {"resource_servers": []})
    assert_inactive(server, token, cast.bystander)


def test_int_03_an_appointment_does_not_survive_the_client(server: RunningServer) -> None:
    """INT-03: a client made anew under the id of a deleted resource server inherits no permission."""
    first = server.create_client(client_id="phoenix")
    identifier = "https://phoenix.example.com"
    server.create_resource(identifier, resource_servers=["phoenix"])
    token = server.token(server.create_client(audiences=[identifier]))
    assert server.introspect(token, first).json()["active"] is True
    assert server.admin("DELETE", "/clients/phoenix").status == 204
    second = server.create_client(client_id="phoenix")
    assert_inactive(server, token, second)


def test_int_04_a_signed_answer_is_not_offered(server: RunningServer, cast: Cast) -> None:
    """INT-04: whatever media type is asked for, the answer for a stranger holds no claim."""
    headers = {"Accept": "application/token-introspection+jwt"}
    response = server.form(PATH, {"token": server.token(cast.owner)}, credentials(cast.other_server), headers)
    assert (response.status, response.body) == (200, INACTIVE)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("body", ["", "token=", "token=a&token=b", "token=a&token=a", "token_type_hint=access_token"])
def test_int_06_not_exactly_one_token(server: RunningServer, cast: Cast, body: str) -> None:
    """INT-06: no token, an empty one or two are an invalid request."""
    assert_refused(server.form(PATH, body, credentials(cast.owner)), 400, "invalid_request")


@pytest.mark.parametrize("hint", ["foo", "refresh_token", "access_token", "", "%22"])
def test_int_07_hints_are_ignored(server: RunningServer, cast: Cast, hint: str) -> None:
    """INT-07: an unknown or wrong hint changes nothing (RFC 7662 §2.1)."""
    token = server.token(cast.owner)
    response = server.form(PATH, f"token={token}&token_type_hint={hint}", credentials(cast.owner))
    assert response.status == 200
    assert response.json()["active"] is True


def test_int_08_get_with_the_token_in_the_query(server: RunningServer, cast: Cast) -> None:
    """INT-08: GET is refused with 405, and the token stands in no log."""
    token = server.token(cast.owner)
    response = server.get(f"{PATH}?token={token}")
    assert_refused(response, 405, "invalid_request", token)
    assert response.headers["allow"] == "POST"
    refused = server.form(f"{PATH}?token={token}", {"token": token}, credentials(cast.owner))
    assert_refused(refused, 400, "invalid_request", token)
    assert_not_logged(server, token, token.split(".")[1], token.split(".")[2])


@pytest.mark.parametrize("act", ["disable", "delete"])
def test_int_12_token_of_a_client_that_is_gone(server: RunningServer, cast: Cast, act: str) -> None:
    """INT-12: a token of a since disabled or deleted client is inactive; made again, the client revives none."""
    client = server.create_client()
    path = f"/clients/{client['client_id']}"
    token = server.token(client)
    assert server.introspect(token, cast.resource_server).json()["active"] is True
    if act == "disable":
        assert server.admin("PATCH", path, {"status": "disabled"}).status == 200
        assert_inactive(server, token, cast.resource_server)
        assert server.admin("PATCH", path, {"status": "active"}).status == 200
    else:
        assert server.admin("DELETE", path).status == 204
        assert_inactive(server, token, cast.resource_server)
        client = server.create_client(client_id=client["client_id"])
    assert_inactive(server, token, cast.resource_server)
    assert server.introspect(server.token(client), cast.resource_server).json()["active"] is True


def test_int_13_another_method_than_registered(server: RunningServer, cast: Cast) -> None:
    """INT-13: a caller that authenticates by another method than its registered one is refused."""
    token = server.token(cast.owner)
    client_id, secret = credentials(cast.resource_server)
    posted = server.form(PATH, {"token": token, "client_id": client_id, "client_secret": secret})
    assert_unauthenticated(posted, token, secret, challenge=False)
    poster = server.create_client(token_endpoint_auth_method="client_secret_post")
    assert_unauthenticated(server.introspect(token, poster), token, poster["client_secret"])


def test_int_14_bearer_callers(server: RunningServer, cast: Cast) -> None:
    """INT-14: an access token, even the admin's, opens no introspection: 401, whatever its scope."""
    token = server.token(cast.owner)
    for bearer in (token, server.admin_token):
        response = server.form(PATH, {"token": token}, headers={"Authorization": f"Bearer {bearer}"})
        assert_unauthenticated(response, token, bearer)


def test_int_15_never_stored(server: RunningServer, cast: Cast) -> None:
    """INT-15: active and inactive answers carry Cache-Control: no-store."""
    for token in (server.token(cast.owner), "nonsense"):
        response = server.introspect(token, cast.owner)
        assert response.status == 200
        assert response.headers["cache-control"] == "no-store"


def test_int_16_forged_with_a_real_jti(server: RunningServer, cast: Cast) -> None:
    """INT-16: a bad signature is `active: false`, and the jti inside is neither looked up nor logged."""
    token = server.token(cast.owner)
    jti = claims_of(token)["jti"]
    known_before = server.log().count(jti)
    assert_inactive(server, badly_signed(token), cast.owner)
    assert server.log().count(jti) == known_before
    assert server.introspect(token, cast.owner).json()["active"] is True


def test_all_inactive_answers_are_alike(server: RunningServer, cast: Cast) -> None:
    """INT-03, INT-12, INT-16: unknown, forged, expired, revoked and foreign tokens answer byte for byte the same."""
    forge = Forge(server)
    owner = cast.owner["client_id"]
    revoked = server.token(cast.owner)
    assert server.revoke(revoked, cast.owner).status == 200
    tokens = {
        "nonsense": "nonsense",
        "forged": badly_signed(server.token(cast.owner)),
        "revoked": revoked,
        "expired": forge.sign(forge.header(), forge.claims(owner, exp=1_700_000_000)),
        "of nobody": forge.sign(forge.header(), forge.claims("cl_nobody")),
    }
    answers = [fingerprint(server.introspect(token, cast.resource_server)) for token in tokens.values()]
    answers.append(fingerprint(server.introspect(server.token(cast.owner), cast.bystander)))
    assert all(answer == answers[0] for answer in answers)


def test_a_claim_of_the_answer_cannot_be_faked_by_a_template(server: RunningServer, cast: Cast) -> None:
    """INT-03: `active` and `token_type` of the answer are the server's, whatever the token claims."""
    forge = Forge(server)
    token = forge.sign(forge.header(), forge.claims(cast.owner["client_id"], active=False, token_type="none"))
    answer = server.introspect(token, cast.owner).json()
    assert (answer["active"], answer["token_type"]) == (True, "Bearer")
