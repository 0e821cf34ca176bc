"""Signing keys over HTTP: rotation, emergency revocation, and the JWKS at each step (ROT-02 to ROT-04)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest

from tests.server import API, RunningServer, header_of, start_server

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
LONGEST_TOKEN_SECONDS = 86_400
LEEWAY_SECONDS = 60
JWKS_MAX_AGE_SECONDS = 300

Client = dict[str, Any]


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


def keys_of(server: RunningServer, alg: str = "ES256") -> list[dict[str, Any]]:
    """Return the keys of one algorithm as the management API shows them."""
    return [key for key in server.admin("GET", "/signing-keys").json()["items"] if key["alg"] == alg]


def states(server: RunningServer, alg: str = "ES256") -> dict[str, str]:
    """Return the state of each key of one algorithm by kid."""
    return {key["kid"]: key["state"] for key in keys_of(server, alg)}


def only(server: RunningServer, state: str, alg: str = "ES256") -> str:
    """Return the kid of the one key in this state."""
    (kid,) = [kid for kid, held in states(server, alg).items() if held == state]
    return kid


def verify(jwks: dict[str, dict[str, Any]], token: str, audience: str = API) -> dict[str, Any]:
    """Check a token as a resource server does with the JWKS that it holds."""
    jwk = jwks[header_of(token)["kid"]]
    return jwt.decode(token, jwt.PyJWK(jwk), algorithms=[jwk["alg"]], audience=audience)


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
    audience = "https://rotated.example.com"
    server.create_resource(audience, signing_alg="PS256")
    client = server.create_client(audiences=[audience])
    cached, upcoming = published(server), only(server, "next", "PS256")
    old = server.token(client)
    rotate(server, alg="PS256")
    new = server.token(client)
    assert header_of(new)["kid"] == upcoming != header_of(old)["kid"]
    for token in (old, new):
        assert verify(cached, token, audience)["client_id"] == client["client_id"]
        assert is_active(server, token, client)
    assert states(server, "PS256")[header_of(old)["kid"]] == "retiring"


def test_rot_02_a_key_made_just_now_waits(server: RunningServer) -> None:
    """ROT-02: a key made just now does not sign before every cache can hold it; only `force` does not wait."""
    client = server.create_client()
    rotate(server, alg="ES256", force=True)
    active, upcoming, cached = only(server, "active"), only(server, "next"), published(server)
    rotate(server, alg="ES256")
    assert header_of(server.token(client))["kid"] == only(server, "active") == active
    (waiting,) = [key for key in keys_of(server) if key["state"] == "next"]
    assert waiting["activate_at"] >= waiting["published_at"] + JWKS_MAX_AGE_SECONDS
    rotate(server, alg="ES256", force=True)
    assert header_of(server.token(client))["kid"] == waiting["kid"] == upcoming
    assert upcoming in cached


def test_rot_03_old_tokens_outlive_rotations(server: RunningServer) -> None:
    """ROT-03: a key stays published, and its tokens good, until the last of them has expired, leeway added."""
    client = server.create_client()
    tokens = []
    for _ in range(4):
        tokens.append(server.token(client))
        rotate(server, alg="ES256", force=True)
    assert len({header_of(token)["kid"] for token in tokens}) == 4
    jwks = published(server)
    for token in tokens:
        assert verify(jwks, token)["iss"] == server.url
        assert is_active(server, token, client)
    kids = {header_of(token)["kid"] for token in tokens}
    for key in [key for key in keys_of(server) if key["kid"] in kids]:
        assert key["state"] == "retiring"
        assert key["retire_until"] >= key["activated_at"] + LONGEST_TOKEN_SECONDS + LEEWAY_SECONDS


@pytest.mark.parametrize("state", ["active", "retiring"])
def test_rot_04_emergency_revocation(server: RunningServer, state: str) -> None:
    """ROT-04: a revoked key leaves the JWKS at once with all its tokens; other keys' tokens and new ones are good."""
    client = server.create_client()
    first = server.token(client)
    rotate(server, alg="ES256", force=True)
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
    rotate(server, alg="ES256", force=True)
    assert header_of(server.token(client))["kid"] != upcoming


def test_rot_01_ten_rotations_at_once(server: RunningServer) -> None:
    """ROT-01: of ten parallel rotations one takes place: one active and one next key, the old one retiring."""
    server.create_resource("https://crowded.example.com", signing_alg="Ed25519")
    with ThreadPoolExecutor(10) as pool:
        rotations = [pool.submit(server.admin, "POST", "/signing-keys/rotate", {"alg": "Ed25519"}) for _ in range(10)]
    assert {rotation.result().status for rotation in rotations} == {200}
    assert sorted(states(server, "Ed25519").values()) == ["active", "next", "retiring"]


@pytest.mark.parametrize("kid", ["unknown", "%00", "x" * 300, "..%2f"])
def test_rot_04_unknown_keys(server: RunningServer, kid: str) -> None:
    """ROT-04: revoking a key that is not there is 404 and changes nothing."""
    before = states(server)
    assert server.admin("POST", f"/signing-keys/{kid}/revoke", {}).status == 404
    assert states(server) == before


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
