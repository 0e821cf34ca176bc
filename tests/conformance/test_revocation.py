"""Revocation by the client: section REV of the catalogue (RFC 7009), but what needs Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conformance.expectations import assert_not_logged, assert_refused, assert_unauthenticated, events
from tests.conformance.forge import Forge, badly_signed, malleated
from tests.server import API, Response, RunningServer, claims_of, credentials

PATH = "/oauth2/revoke"
LEEWAY_SECONDS = 60
INACTIVE = {"active": False}

Client = dict[str, Any]


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Client:
    """Create a client of the API."""
    return server.create_client()


@pytest.fixture(scope="module")
def stranger(server: RunningServer) -> Client:
    """Create another client."""
    return server.create_client()


@pytest.fixture(scope="module")
def forge(server: RunningServer) -> Forge:
    """Sign with the server's own key."""
    return Forge(server)


def assert_done(response: Response) -> None:
    """Assert 200 with an empty body that no cache keeps (RFC 7009 §2.2)."""
    assert (response.status, response.body) == (200, b""), response.body
    assert response.headers["cache-control"] == "no-store"


def stored(server: RunningServer) -> Iterator[dict[str, Any]]:
    """Yield every revocation that is stored, in order."""
    after = ""
    while True:
        page = server.admin("GET", f"/revocations?limit=200{after}").json()
        yield from page["items"]
        if page["next_after"] is None:
            return
        after = f"&after={page['next_after']}"


def is_active(server: RunningServer, token: str, client: Client) -> bool:
    """Introspect."""
    response = server.introspect(token, client)
    assert response.status == 200
    return bool(response.json()["active"])


def test_rev_01_no_credentials(server: RunningServer, client: Client) -> None:
    """REV-01: without credentials, or with wrong ones, E401, and the token stays."""
    token = server.token(client)
    assert_unauthenticated(server.form(PATH, {"token": token}), token)
    assert_unauthenticated(server.form(PATH, {"token": token}, (client["client_id"], "wrong")), token, "wrong")
    assert is_active(server, token, client)


def test_rev_02_the_token_of_another_client(server: RunningServer, client: Client, stranger: Client) -> None:
    """REV-02: E400(invalid_grant); the token stays active, nothing is stored, and the attempt is audited."""
    token = server.token(client)
    before = list(stored(server))
    assert_refused(server.revoke(token, stranger), 400, "invalid_grant", token, client["client_id"])
    assert is_active(server, token, client)
    assert list(stored(server)) == before
    (denied,) = (e for e in events(server, "token.revocation_denied") if e["jti"] == claims_of(token)["jti"])
    assert (denied["client_id"], denied["owner"]) == (stranger["client_id"], client["client_id"])


def test_rev_02_a_resource_server_may_look_but_not_revoke(server: RunningServer, stranger: Client) -> None:
    """REV-02: the resource server of the audience sees the token active, and still may not revoke it."""
    identifier = "https://guarded.example.com"
    server.create_resource(identifier, resource_servers=[stranger["client_id"]])
    token = server.token(server.create_client(audiences=[identifier]))
    assert is_active(server, token, stranger)
    assert_refused(server.revoke(token, stranger), 400, "invalid_grant", token)
    assert is_active(server, token, stranger)


FOREIGN = "eyJhbGciOiJFUzI1NiIsImtpZCI6IngiLCJ0eXAiOiJhdCtqd3QifQ.e30.c2ln"


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "..", ".", "x" * 60_000, "é", "\x00", FOREIGN])
def test_rev_03_what_is_no_token_of_ours(server: RunningServer, client: Client, token: str) -> None:
    """REV-03: unknown, malformed and foreign tokens need nothing: 200, empty, nothing stored."""
    before = list(stored(server))
    assert_done(server.form(PATH, {"token": token}, credentials(client)))
    assert list(stored(server)) == before


def test_rev_03_an_expired_token(server: RunningServer, client: Client, forge: Forge) -> None:
    """REV-03: an expired token of ours is 200 too, and nothing is stored."""
    before = list(stored(server))
    now = int(time.time())
    token = forge.sign(forge.header(), forge.claims(client["client_id"], exp=now - 1))
    assert_done(server.revoke(token, client))
    assert list(stored(server)) == before


@pytest.mark.parametrize("body", ["", "token=", "token=a&token=b", "token_type_hint=access_token"])
def test_rev_03_not_exactly_one_token(server: RunningServer, client: Client, body: str) -> None:
    """REV-03: no token, an empty one or two are an invalid request (RFC 7009 §2.2.1)."""
    assert_refused(server.form(PATH, body, credentials(client)), 400, "invalid_request")


def test_rev_04_twice(server: RunningServer, client: Client) -> None:
    """REV-04: the second revocation is 200 as well, with one entry and one event in all."""
    token = server.token(client)
    for _ in range(2):
        assert_done(server.revoke(token, client))
    assert_revoked_once(server, claims_of(token)["jti"])


def test_rev_04_fifty_at_once(server: RunningServer, client: Client) -> None:
    """REV-04: of fifty parallel revocations all are 200, one is stored, one is audited."""
    token = server.token(client)
    with ThreadPoolExecutor(50) as pool:
        responses = list(pool.map(lambda _: server.revoke(token, client), range(50)))
    for response in responses:
        assert_done(response)
    assert_revoked_once(server, claims_of(token)["jti"])


def assert_revoked_once(server: RunningServer, jti: str) -> None:
    """Assert one entry and one event."""
    assert [entry["kind"] for entry in stored(server) if entry["value"] == jti] == ["jti"]
    assert len([event for event in events(server, "token.revoked") if event["jti"] == jti]) == 1


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
def test_rev_07_a_valid_access_token(server: RunningServer, client: Client, hint: str) -> None:
    """REV-07: a valid JWT is 200, whatever the hint, and inactive from then on; its siblings stay."""
    token, sibling = server.token(client), server.token(client)
    assert_done(server.form(PATH, f"token={token}&token_type_hint={hint}", credentials(client)))
    assert server.introspect(token, client).json() == INACTIVE
    assert is_active(server, sibling, client)
    assert_not_logged(server, token, token.split(".")[2])


def test_rev_07_the_management_door_refuses_it(server: RunningServer) -> None:
    """REV-07: a revoked access token opens the management API no more."""
    admin = server.create_client(scope="clients:read", audiences=["urn:authserver:admin"])
    token = server.token(admin)
    assert server.admin("GET", "/clients", token=token).status == 200
    assert_done(server.revoke(token, admin))
    assert server.admin("GET", "/clients", token=token).status == 401


def test_rev_08_in_its_last_second(server: RunningServer, client: Client, forge: Forge) -> None:
    """REV-08: a token with no second left is 200, whatever the clock says meanwhile."""
    for left in (0, 1):
        claims = forge.claims(client["client_id"], exp=int(time.time()) + left)
        assert_done(server.revoke(forge.sign(forge.header(), claims), client))


def test_rev_09_kept_until_no_verifier_can_take_it(server: RunningServer, client: Client) -> None:
    """REV-09: the entry lives as long as the token and the greatest leeway."""
    token = server.token(client)
    assert_done(server.revoke(token, client))
    (entry,) = (entry for entry in stored(server) if entry["value"] == claims_of(token)["jti"])
    assert entry["expires_at"] == claims_of(token)["exp"] + LEEWAY_SECONDS


def test_rev_10_a_real_jti_with_a_bad_signature(server: RunningServer, client: Client, stranger: Client) -> None:
    """REV-10: 200, and the victim's token stays active, whoever sends the forgery."""
    token = server.token(client)
    for caller in (client, stranger):
        assert_done(server.revoke(badly_signed(token), caller))
        assert is_active(server, token, client)


def test_rev_12_a_malleated_copy(server: RunningServer, client: Client) -> None:
    """REV-12, JOSE-09: revoking the copy with the other good signature refuses the original, and the reverse."""
    for swap in (False, True):
        token = server.token(client)
        pair = (malleated(token), token) if swap else (token, malleated(token))
        assert all(is_active(server, one, client) for one in pair)
        assert_done(server.revoke(pair[0], client))
        assert [is_active(server, one, client) for one in pair] == [False, False]


def test_rev_13_everything_of_a_client(server: RunningServer, stranger: Client) -> None:
    """REV-13: one row and one step refuse all tokens of a client, whatever their number; later ones are good."""
    client = server.create_client(audiences=[API])
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda _: server.token(client), range(400)))
    before, bystander = len(list(stored(server))), server.token(stranger)
    body = {"kind": "client", "value": client["client_id"], "reason": "leaked"}
    assert server.admin("POST", "/revocations", body).status == 201
    later = server.token(client)
    assert len(list(stored(server))) == before + 1
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(lambda token: is_active(server, token, client), tokens))
    assert is_active(server, later, client)
    assert is_active(server, bystander, stranger)


def test_revocation_speaks_post_only(server: RunningServer, client: Client) -> None:
    """REV-03: GET, with the token in the query, revokes nothing and logs no token."""
    token = server.token(client)
    response = server.get(f"{PATH}?token={token}")
    assert_refused(response, 405, "invalid_request", token)
    assert response.headers["allow"] == "POST"
    assert is_active(server, token, client)
    assert_not_logged(server, token)
