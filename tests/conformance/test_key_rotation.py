"""Signing keys over HTTP: rotation, emergency revocation, and the JWKS at each step (ROT-02 to ROT-04)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest

from tests.server import API, RunningServer, header_of, start_server

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
LONGEST_TOKEN_SECONDS = 86_400
LEEWAY_SECONDS = 60

Client = dict[str, Any]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of each test's own: these tests change its keys."""
    with start_server(tmp_path_factory.mktemp("server")) as running:
        yield running


def published(server: RunningServer) -> dict[str, dict[str, Any]]:
    """Return the JWKS by kid; assert that a cache may keep it, and that nothing private is in it."""
    response = server.get("/.well-known/jwks.json")
    assert response.status == 200
    assert response.headers["cache-control"].startswith("public, max-age=")
    keys = response.json()["keys"]
    for key in keys:
        assert not PRIVATE_MEMBERS & set(key)
        assert {"kty", "kid", "alg", "use"} <= set(key)
    by_kid = {key["kid"]: key for key in keys}
    assert len(by_kid) == len(keys)
    return by_kid


def states(server: RunningServer) -> dict[str, str]:
    """Return the state of each ES256 key by kid."""
    keys = server.admin("GET", "/signing-keys").json()["items"]
    return {key["kid"]: key["state"] for key in keys if key["alg"] == "ES256"}


def only(server: RunningServer, state: str) -> str:
    """Return the kid of the one key in this state."""
    (kid,) = [kid for kid, held in states(server).items() if held == state]
    return kid


def verify(jwks: dict[str, dict[str, Any]], token: str) -> dict[str, Any]:
    """Check a token as a resource server does with the JWKS that it holds."""
    key = jwt.PyJWK(jwks[header_of(token)["kid"]])
    return jwt.decode(token, key, algorithms=[key.algorithm_name], audience=API)


def rotate(server: RunningServer, **body: Any) -> None:
    """Rotate by the management API."""
    response = server.admin("POST", "/signing-keys/rotate", body)
    assert response.status == 200, response.body


def is_active(server: RunningServer, token: str, client: Client) -> bool:
    """Introspect."""
    response = server.introspect(token, client)
    assert response.status == 200
    return bool(response.json()["active"])


def test_rot_02_published_before_use(server: RunningServer) -> None:
    """ROT-02: the first token with a new kid verifies by a JWKS that was fetched before the rotation."""
    client = server.create_client()
    cached, upcoming = published(server), only(server, "next")
    old = server.token(client)
    assert upcoming in cached
    rotate(server)
    new = server.token(client)
    assert header_of(new)["kid"] == upcoming != header_of(old)["kid"]
    assert verify(cached, new)["client_id"] == verify(cached, old)["client_id"] == client["client_id"]
    assert states(server)[header_of(old)["kid"]] == "retiring"


def test_rot_02_a_second_rotation_waits(server: RunningServer) -> None:
    """ROT-02: a key made just now does not sign before every cache can hold it; only `force` does not wait."""
    client = server.create_client()
    rotate(server)
    active, cached = only(server, "active"), published(server)
    rotate(server)
    assert only(server, "active") == active
    assert header_of(server.token(client))["kid"] == active
    waiting = [key for key in server.admin("GET", "/signing-keys").json()["items"] if key["state"] == "next"]
    assert all(key["activate_at"] >= key["published_at"] + 300 for key in waiting if key["alg"] == "ES256")
    rotate(server, force=True)
    assert header_of(server.token(client))["kid"] == waiting[0]["kid"] in cached


def test_rot_03_old_tokens_outlive_rotations(server: RunningServer) -> None:
    """ROT-03: a key stays published, and its tokens good, until the last of them has expired, leeway added."""
    client = server.create_client()
    tokens = []
    for _ in range(4):
        tokens.append(server.token(client))
        rotate(server, force=True)
    assert len({header_of(token)["kid"] for token in tokens}) == 4
    jwks = published(server)
    for token in tokens:
        assert verify(jwks, token)["iss"] == server.url
        assert is_active(server, token, client)
    retiring = [key for key in server.admin("GET", "/signing-keys").json()["items"] if key["state"] == "retiring"]
    assert len(retiring) == 4
    for key in retiring:
        assert key["retire_until"] >= key["activated_at"] + LONGEST_TOKEN_SECONDS + LEEWAY_SECONDS


@pytest.mark.parametrize("state", ["active", "retiring"])
def test_rot_04_emergency_revocation(server: RunningServer, state: str) -> None:
    """ROT-04: a revoked key leaves the JWKS at once with all its tokens; other keys' tokens and new ones are good."""
    client = server.create_client()
    first = server.token(client)
    rotate(server)
    second = server.token(client)
    victim, other = (second, first) if state == "active" else (first, second)
    kid = header_of(victim)["kid"]
    assert states(server)[kid] == state
    assert server.admin("POST", f"/signing-keys/{kid}/revoke", {"reason": "leaked"}).status == 200
    assert kid not in published(server)
    assert not is_active(server, victim, client)
    assert is_active(server, other, client)
    fresh = server.token(client)
    assert header_of(fresh)["kid"] != kid
    assert is_active(server, fresh, client)
    assert verify(published(server), fresh)
    assert states(server)[kid] == "gone"
    assert sorted(set(states(server).values()) - {"gone", "retiring"}) == ["active", "next"]


def test_rot_04_the_next_key_leaked(server: RunningServer) -> None:
    """ROT-04: a next key that is revoked never signs; a new one takes its place."""
    client, upcoming = server.create_client(), only(server, "next")
    token = server.token(client)
    assert server.admin("POST", f"/signing-keys/{upcoming}/revoke", {}).status == 200
    assert upcoming not in published(server)
    assert is_active(server, token, client)
    rotate(server, force=True)
    assert header_of(server.token(client))["kid"] != upcoming


def test_rot_04_restart_does_not_bring_it_back(server: RunningServer) -> None:
    """ROT-04: after a restart a revoked key is still gone, and its tokens are still refused."""
    client = server.create_client()
    token = server.token(client)
    kid = header_of(token)["kid"]
    server.admin("POST", f"/signing-keys/{kid}/revoke", {})
    server.stop()
    with start_server(server.data_dir, port=server.port) as again:
        assert kid not in published(again)
        assert not is_active(again, token, client)
        assert is_active(again, again.token(client), client)


def test_rot_01_ten_rotations_at_once(server: RunningServer) -> None:
    """ROT-01: of ten parallel rotations one takes place: one active and one next key, the old one retiring."""
    with ThreadPoolExecutor(10) as pool:
        responses = list(pool.map(lambda _: server.admin("POST", "/signing-keys/rotate", {"alg": "ES256"}), range(10)))
    assert {response.status for response in responses} == {200}
    assert sorted(states(server).values()) == ["active", "next", "retiring"]


@pytest.mark.parametrize("kid", ["unknown", "%00", "x" * 300, "..%2f"])
def test_unknown_keys(server: RunningServer, kid: str) -> None:
    """ROT-04: revoking a key that is not there is 404 and changes nothing."""
    before = states(server)
    assert server.admin("POST", f"/signing-keys/{kid}/revoke", {}).status == 404
    assert states(server) == before
