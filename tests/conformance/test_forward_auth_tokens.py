"""Hostile tokens at forward-auth: section JOSE of the catalogue through this door. 401, never a failure."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.conformance.expectations import assert_not_logged, assert_refused
from tests.conformance.forge import Forge, b64, badly_signed, encode, malleated
from tests.conformance.test_jose import ALGS, JWE_HEADERS, MEMBERS, aliased, maced
from tests.server import API, RunningServer, header_of

HS_API = "https://hs256.example.com"
SHARED_SECRET = "a secret that the services of one resource share"
CHALLENGE = 'Bearer realm="authserver", error="invalid_token"'


@pytest.fixture(scope="module")
def forge(server: RunningServer) -> Forge:
    """Sign with the server's own key for a client that exists."""
    server.create_resource(API)
    server.create_resource(HS_API, signing_alg="HS256", hs256_secret=SHARED_SECRET)
    server.create_client(client_id="victim", audiences=[API, HS_API])
    return Forge(server)


def claims(forge: Forge, **changes: Any) -> dict[str, Any]:
    """Return the claims of a token that would be let in."""
    return forge.claims("victim", **{"aud": API, "scope": "read", **changes})


def status_of(server: RunningServer, token: str, resource: str = API) -> int:
    """Return how a proxy is answered that protects `resource`."""
    return server.get(f"/forward-auth?resource={resource}&claims=n,sub", {"Authorization": f"Bearer {token}"}).status


def assert_kept_out(server: RunningServer, *tokens: str, resource: str = API) -> None:
    """Assert 401 with its challenge for each, quickly, and no word of it in the answer or the log."""
    for token in tokens:
        started = time.monotonic()
        answer = server.get(f"/forward-auth?resource={resource}", {"Authorization": f"Bearer {token}"})
        assert_refused(answer, 401, "invalid_token")
        assert answer.headers["www-authenticate"] == CHALLENGE
        assert time.monotonic() - started < 1
    assert_not_logged(server, *tokens)


def test_the_forge_works(server: RunningServer, forge: Forge) -> None:
    """JOSE-01: an unaltered token of the forge is let in, so the refusals below mean something."""
    assert status_of(server, forge.sign(forge.header(), claims(forge))) == 204


@pytest.mark.parametrize("crit", [5, None, [{}], "alg", [], ["exp"], ["b64"]])
def test_jose_01_crit(server: RunningServer, forge: Forge, crit: object) -> None:
    """JOSE-01, JOSE-02: `crit` of any form and `b64` are refused, though the signature is good."""
    assert_kept_out(server, forge.sign({**forge.header(), "crit": crit}, claims(forge)))
    assert_kept_out(server, forge.sign({**forge.header(), "crit": crit, "b64": False}, claims(forge)))


@pytest.mark.parametrize(
    "content", ["alg", ["alg"], 5, None, True, {}, b"", b"{", b"\xff\xfe", "ü".encode("utf-16"), b"["]
)
def test_jose_03_no_objects(server: RunningServer, forge: Forge, content: object) -> None:
    """JOSE-03, JOSE-06: a header or a payload that is no JSON object in UTF-8 is refused."""
    assert_kept_out(server, forge.sign(content, claims(forge)), forge.sign(forge.header(), content))


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_jose_04_nesting(server: RunningServer, forge: Forge, opening: str) -> None:
    """JOSE-04: deep nesting is refused, or handed on, and never a failure, though the proxy asks for that claim."""
    assert_kept_out(server, forge.sign(forge.header(), (opening * 2000).encode()))
    for depth in (10, 100, 900):
        inner = opening * depth + ("]" * depth if opening == "[" else "1" + "}" * depth)
        payload = json.dumps(claims(forge))[:-1] + f', "n": {inner}}}'
        assert status_of(server, forge.sign(forge.header(), payload.encode())) in {204, 401, 403}
    assert_not_logged(server)


@pytest.mark.parametrize("change", ["=", "==", "+", "/", ".", "é", "last"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_jose_07_one_spelling(server: RunningServer, forge: Forge, index: int, change: str) -> None:
    """JOSE-07: no token has a second spelling."""
    token = forge.sign(forge.header(), claims(forge))
    segments = token.split(".")
    segments[index] = aliased(segments[index]) if change == "last" else segments[index] + change
    assert_kept_out(server, ".".join(segments))
    assert status_of(server, token) == 204


def test_jose_08_large_headers(server: RunningServer, forge: Forge) -> None:
    """JOSE-08: large headers are refused here, or by the door before."""
    assert_kept_out(server, forge.sign({**forge.header(), "x": "x" * 12_000}, claims(forge)))
    assert status_of(server, forge.sign({**forge.header(), "x": "x" * 30_000}, claims(forge))) == 431


def test_jose_09_malleated(server: RunningServer, forge: Forge) -> None:
    """JOSE-09: with the token its copy with the other good signature is revoked; one bit more is no signature."""
    client = server.create_client()
    token = server.token(client, resource=API)
    assert status_of(server, malleated(token)) == 204
    assert_kept_out(server, badly_signed(token))
    assert server.revoke(token, client).status == 200
    assert_kept_out(server, token, malleated(token))


@pytest.mark.parametrize("header", JWE_HEADERS, ids=lambda header: header["alg"])
def test_jose_10_no_jwe(server: RunningServer, forge: Forge, header: dict[str, Any]) -> None:
    """JOSE-10: JWE does not exist here."""
    header = {**header, "kid": forge.kid}
    five = ".".join([encode(header), "a2V5", "aXY", b64(b"x" * 5000), "dGFn"])
    assert_kept_out(server, five, forge.sign(header, claims(forge)))


@pytest.mark.parametrize("alg", ALGS)
def test_jose_19_another_alg(server: RunningServer, forge: Forge, alg: object) -> None:
    """JOSE-19: an alg that is not the key's own is refused, signed, unsigned, or MACed by the public key."""
    header = {**forge.header(), "alg": alg}
    signed = forge.sign(header, claims(forge))
    pem = server.admin("GET", f"/signing-keys/{forge.kid}/pem").body
    hs256 = {**header, "alg": "HS256"}
    assert_kept_out(server, signed, signed.rpartition(".")[0] + ".", maced(pem, hs256, claims(forge)))


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_jose_19_headers_we_never_write(server: RunningServer, forge: Forge, member: dict[str, Any]) -> None:
    """JOSE-19, RS-01: a missing, foreign or additional header member is refused."""
    assert_kept_out(server, forge.sign(forge.header(**member), claims(forge)))


@pytest.mark.parametrize(
    "change",
    [
        *({"scope": scope} for scope in (5, ["read"], {"a": 1}, True, 'a"b', "a  b", "a\r\nb", "é", "a" * 5000)),
        *({"aud": audience} for audience in (None, "", [], 5, "urn:authserver:admin", [HS_API], {"a": API})),
        *({name: None} for name in ("iss", "sub", "client_id", "iat", "exp", "jti", "workspace_id", "credential_id")),
        {"exp": 0},
        {"exp": 1_700_000_000},
        {"nbf": 2**50},
        {"iss": "https://elsewhere.example"},
        {"jti": "1"},
        {"workspace_id": "other"},
        {"client_id": "nobody"},
        {"sub": 5},
    ],
    ids=lambda change: str(change)[:40],
)
def test_rs_03_claims(server: RunningServer, forge: Forge, change: dict[str, Any]) -> None:
    """RS-02, RS-03: well signed claims of a wrong type, or that no token of ours has, are 401."""
    made = claims(forge)
    altered = {name: value for name, value in {**made, **change}.items() if value is not None}
    assert_kept_out(server, forge.sign(forge.header(), altered))


def test_jose_19_what_the_holder_of_a_shared_secret_may_write(server: RunningServer, forge: Forge) -> None:
    """JOSE-19, LOG-01: a service can write itself tokens for its own audience, but no header and no other audience."""
    client = server.create_client(audiences=[HS_API])
    header = header_of(server.token(client))
    hostile = claims(forge, aud=HS_API, sub="a\r\nX-Auth-Scope: admin\x00é", n=10**400)
    token = maced(SHARED_SECRET.encode(), header, hostile)
    answer = server.get(f"/forward-auth?resource={HS_API}", {"Authorization": f"Bearer {token}"})
    assert (answer.status, answer.headers["x-auth-scope"]) == (204, "read")
    assert answer.headers["x-auth-subject"] == "a%0D%0AX-Auth-Scope:%20admin%00%C3%A9"
    assert status_of(server, token, HS_API) in {204, 403}
    assert_kept_out(server, token)
    for scope in ('a"b', "a\r\nb"):
        hostile["scope"] = scope
        assert_kept_out(server, maced(SHARED_SECRET.encode(), header, hostile), resource=HS_API)
