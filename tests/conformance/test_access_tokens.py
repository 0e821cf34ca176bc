"""What an access token says, how it is signed and how long it lives (RFC 9068)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.conformance.expectations import assert_not_logged
from tests.server import API, RunningServer, claims_of, header_of, start_server

REGISTERED = {"iss", "sub", "aud", "client_id", "scope", "iat", "nbf", "exp", "jti", "workspace_id", "credential_id"}
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ASYMMETRIC = ["ES256", "RS256", "PS256", "Ed25519"]
SHARED_SECRET = "a secret that server and service share, 32+"


def _public_key(server: RunningServer, kid: str) -> Any:
    """Return the key from the JWKS, read by a library that is not ours."""
    (key,) = [key for key in server.get("/.well-known/jwks.json").json()["keys"] if key["kid"] == kid]
    return jwt.PyJWK({**key, "alg": "EdDSA"} if key["alg"] == "Ed25519" else key).key


def _verify(token: str, key: Any, audience: str, issuer: str) -> dict[str, Any]:
    """Verify with PyJWT, which knows Ed25519 under its name of old only (RFC 9864)."""
    alg = header_of(token)["alg"]
    if alg == "Ed25519":
        head, _, signature = token.rpartition(".")
        assert isinstance(key, Ed25519PublicKey)
        key.verify(_decoded(signature), head.encode())
        return claims_of(token)
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=[alg], audience=audience, issuer=issuer)
    return claims


def _decoded(part: str) -> bytes:
    return jwt.utils.base64url_decode(part)


def test_a_token_has_the_claims_of_its_profile(server: RunningServer) -> None:
    """RES-07: `typ` and every claim of RFC 9068 §2.2, with our two; the audience is not the client."""
    client = server.create_client()
    before = int(time.time())
    token = server.token(client)
    claims, header = claims_of(token), header_of(token)
    assert set(claims) == REGISTERED
    assert set(header) == {"typ", "alg", "kid"}
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    assert claims["iss"] == server.url
    assert claims["sub"] == claims["client_id"] == client["client_id"]
    assert claims["aud"] == API
    assert claims["scope"] == "read write"
    assert before <= claims["iat"] == claims["nbf"] <= time.time()
    assert claims["exp"] == claims["iat"] + 3600
    assert (claims["workspace_id"], claims["credential_id"]) == ("default", client["credential_id"])
    assert all(type(claims[name]) is int for name in ("iat", "nbf", "exp"))


def test_each_token_has_an_id_that_carries_its_time(server: RunningServer) -> None:
    """RES-07: `jti` is a UUIDv7 of its own; its milliseconds are those of `iat`, and they only grow."""
    client = server.create_client()
    tokens = [claims_of(server.token(client)) for _ in range(20)]
    ids = [claims["jti"] for claims in tokens]
    assert len(set(ids)) == 20
    assert all(UUID7.fullmatch(token_id) for token_id in ids)
    times = [int(token_id.replace("-", "")[:12], 16) for token_id in ids]
    assert times == sorted(times)
    assert [ms // 1000 for ms in times] == [claims["iat"] for claims in tokens]


@pytest.mark.parametrize("typ", ["at+jwt", "JWT"])
@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_each_algorithm_signs(server: RunningServer, alg: str, typ: str) -> None:
    """RES-07: each asymmetric algorithm verifies from the JWKS, with the `typ` of the resource (RFC 9068 §2.1)."""
    identifier = f"urn:example:{alg}:{typ}"
    server.create_resource(identifier, signing_alg=alg, token_typ=typ)
    client = server.create_client(audiences=[identifier])
    token = server.token(client)
    header = header_of(token)
    assert (header["alg"], header["typ"]) == (alg, typ)
    assert set(_verify(token, _public_key(server, header["kid"]), identifier, server.url)) == REGISTERED
    assert server.introspect(token, client).json()["active"] is True


def test_an_altered_token_does_not_verify(server: RunningServer) -> None:
    """RES-07: the verification used above can fail, and introspection fails with it."""
    client = server.create_client()
    head, payload, signature = server.token(client).split(".")
    altered = ".".join([head, payload[:-2] + ("AA" if payload[-2:] != "AA" else "BB"), signature])
    with pytest.raises(jwt.InvalidSignatureError):
        _verify(altered, _public_key(server, header_of(altered)["kid"]), API, server.url)
    assert server.introspect(altered, client).json() == {"active": False}


def test_an_hs256_resource_has_a_secret_of_its_own(server: RunningServer) -> None:
    """RES-07: HS256 tokens verify with the resource's secret alone, which no key set and no log shows."""
    identifier, other = "urn:example:hs256", "urn:example:hs256:other"
    created = server.create_resource(identifier, signing_alg="HS256", hs256_secret=SHARED_SECRET)
    server.create_resource(other, signing_alg="HS256")
    assert created["hs256_secret"] == SHARED_SECRET  # this once
    assert SHARED_SECRET.encode() not in server.admin("GET", "/resources").body
    client = server.create_client(audiences=[identifier, other])
    token, of_other = server.token(client, resource=identifier), server.token(client, resource=other)
    assert set(_verify(token, SHARED_SECRET.encode(), identifier, server.url)) == REGISTERED
    with pytest.raises(jwt.InvalidSignatureError):
        _verify(of_other, SHARED_SECRET.encode(), other, server.url)
    published = server.get("/.well-known/jwks.json").json()["keys"]
    assert not {header_of(token)["kid"], header_of(of_other)["kid"]} & {key["kid"] for key in published}
    assert server.introspect(token, client).json()["active"] is True
    assert_not_logged(server, SHARED_SECRET, token)


def test_an_hs256_secret_forges_for_its_own_resource_only(server: RunningServer) -> None:
    """RES-07: whoever holds a resource's secret cannot make tokens that another resource's audience accepts."""
    identifier = "urn:example:hs256:forger"
    server.create_resource(identifier, signing_alg="HS256", hs256_secret=SHARED_SECRET)
    client = server.create_client(audiences=[identifier])
    honest = server.token(client)
    kid = header_of(honest)["kid"]

    def forged(**changes: Any) -> str:
        claims = claims_of(honest) | changes
        return jwt.encode(claims, SHARED_SECRET, algorithm="HS256", headers={"kid": kid, "typ": "at+jwt"})

    assert server.introspect(forged(), client).json()["active"] is True
    for audience in (API, [identifier, API], server.url):
        assert server.introspect(forged(aud=audience), client).json() == {"active": False}


@pytest.mark.parametrize(
    ("client_says", "resource_says", "expected"),
    [(None, None, 3600), (120, None, 120), (None, 90, 90), (120, 90, 90), (90, 120, 90), (7200, None, 7200)],
)
def test_the_shortest_lifetime_counts(
    server: RunningServer, client_says: int | None, resource_says: int | None, expected: int
) -> None:
    """TOK-26: client and resource may say how long a token lives; the shorter counts, else the default."""
    identifier = f"urn:example:ttl:{client_says}:{resource_says}"
    server.create_resource(identifier, access_token_ttl_seconds=resource_says)
    client = server.create_client(audiences=[identifier], access_token_ttl_seconds=client_says)
    _assert_lifetime(server, client, expected)


def _assert_lifetime(server: RunningServer, client: Mapping[str, Any], expected: int) -> None:
    body = server.token_response(client).json()
    claims = claims_of(body["access_token"])
    assert body["expires_in"] == claims["exp"] - claims["iat"] == expected


def test_nothing_outlives_the_limit(tmp_path: Path) -> None:
    """TOK-26: the server's maximum bounds new settings, and those that were made under a greater one."""
    with start_server(tmp_path) as server:
        long = server.create_client(access_token_ttl_seconds=86400)
        body = {"client_name": "longer", "access_token_ttl_seconds": 86401}
        assert server.admin("POST", "/clients", body).status == 422
        _assert_lifetime(server, long, 86400)
    with start_server(tmp_path, AUTHSERVER_MAX_ACCESS_TOKEN_TTL="600", AUTHSERVER_ACCESS_TOKEN_TTL="300") as server:
        _assert_lifetime(server, long, 600)
        _assert_lifetime(server, server.create_client(), 300)


def test_a_token_says_what_introspection_says(server: RunningServer) -> None:
    """RES-07: introspection repeats the claims of the token, with `active` and `token_type` (RFC 7662 §2.2)."""
    client = server.create_client()
    token = server.token(client)
    answer = server.introspect(token, client).json()
    assert answer == {**claims_of(token), "active": True, "token_type": "Bearer"}
