"""Hostile tokens over HTTP: section JOSE of the catalogue, at introspection, revocation and the management API."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest

from tests.conformance.expectations import assert_not_logged, assert_safe
from tests.conformance.forge import Forge, b64, encode, malleated, with_header
from tests.server import API, RunningServer, credentials, header_of

ADMIN_API = "urn:authserver:admin"
HS_API, OTHER_HS_API = "https://hs256.example.com", "https://other-hs256.example.com"
SHARED_SECRET = "a secret that the services of one resource share"
BEARER_CHALLENGE = 'Bearer realm="authserver", error="invalid_token"'
DEEP = 90_000

Client = dict[str, Any]


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Client:
    """Create a client that may do everything, so that a hostile token would get far."""
    for identifier in (HS_API, OTHER_HS_API):
        secret = {"hs256_secret": SHARED_SECRET} if identifier == HS_API else {}
        server.create_resource(identifier, signing_alg="HS256", **secret)
    return server.create_client(
        client_id="victim", scope="clients:read status:read", audiences=[ADMIN_API, API, HS_API, OTHER_HS_API]
    )


@pytest.fixture(scope="module")
def forge(server: RunningServer, client: Client) -> Forge:
    """Sign with the server's own key."""
    return Forge(server)


def assert_refused_everywhere(server: RunningServer, token: str, client: Client) -> None:
    """Assert: inactive at introspection, nothing to revoke, no door opened, nothing echoed, quickly."""
    started = time.monotonic()
    introspected = server.introspect(token, client)
    assert (introspected.status, introspected.body) == (200, b'{"active":false}'), introspected.body
    assert_safe(introspected)
    assert server.revoke(token, client).status == 200
    if token.isascii() and token.isprintable() and token == token.strip():  # HTTP itself strips a header
        answer = server.admin("GET", "/status", token=token)
        assert answer.status == 401, answer.body
        assert answer.headers["www-authenticate"] == BEARER_CHALLENGE
        assert token[:40] not in answer.body.decode()
        assert answer.headers["cache-control"] == "no-store"
    assert time.monotonic() - started < 1


def admin_claims(forge: Forge, **changes: Any) -> dict[str, Any]:
    """Return claims that would open the management API."""
    return forge.claims("victim", **{"aud": ADMIN_API, "scope": "status:read", **changes})


def test_the_forge_works(server: RunningServer, client: Client, forge: Forge) -> None:
    """JOSE-01: an unaltered token of the forge is good at both doors, so the refusals below mean something."""
    token = forge.sign(forge.header(), admin_claims(forge))
    assert server.introspect(token, client).json()["active"] is True
    assert server.admin("GET", "/status", token=token).status == 200


@pytest.mark.parametrize("crit", [5, None, [{}], "alg", [], ["zz"], ["exp"], ["b64"], {}, True, [None]])
def test_jose_01_crit(server: RunningServer, client: Client, forge: Forge, crit: object) -> None:
    """JOSE-01: `crit` of any form is refused, though the signature is good."""
    header = {**forge.header(), "crit": crit}
    assert_refused_everywhere(server, forge.sign(header, admin_claims(forge)), client)


@pytest.mark.parametrize("size", [10, 200_000])
def test_jose_02_b64_false(server: RunningServer, client: Client, forge: Forge, size: int) -> None:
    """JOSE-02: an unencoded payload (RFC 7797) is refused, small and large."""
    header = {**forge.header(), "b64": False, "crit": ["b64"]}
    token = forge.sign_segments(encode(header), json.dumps({"a": "x" * size}))
    if size > 60_000:
        assert server.form("/oauth2/introspect", {"token": token}, credentials(client)).status == 413
        return
    assert_refused_everywhere(server, token, client)
    assert_refused_everywhere(server, forge.sign({**forge.header(), "b64": False}, admin_claims(forge)), client)


@pytest.mark.parametrize("header", ["alg", ["alg"], 5, None, True, {}, "", 1e400, b"", b"{", b'{"alg":"ES256"'])
def test_jose_03_headers_that_are_no_objects(
    server: RunningServer, client: Client, forge: Forge, header: object
) -> None:
    """JOSE-03: a header that is JSON but no object, or no JSON, is refused."""
    assert_refused_everywhere(server, forge.sign(header, admin_claims(forge)), client)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_jose_04_nesting(server: RunningServer, client: Client, forge: Forge, opening: str) -> None:
    """JOSE-04: a payload nested deeply, well signed, is refused; so are those of honest size and any depth."""
    for depth in (DEEP // 40, 900):
        payload = (opening * depth).encode()
        assert_refused_everywhere(server, forge.sign(forge.header(), payload), client)
        closing = {"[": "]", '{"a":': "1" + "}" * depth, '[{"a":': "1" + "}]" * depth}[opening]
        whole = (opening * depth + (closing * depth if opening == "[" else closing)).encode()
        honest = json.dumps(admin_claims(forge))[:-1].encode() + b',"deep":' + whole + b"}"
        response = server.introspect(forge.sign(forge.header(), honest), client)
        assert response.status in {200, 413}


def test_jose_04_nesting_on_the_management_api(server: RunningServer) -> None:
    """JOSE-04: a body of 60,000 brackets on the management API is a 4xx problem, quickly."""
    started = time.monotonic()
    headers = {"Authorization": f"Bearer {server.admin_token}", "Content-Type": "application/json"}
    for body in (b"[" * 60_000, b'{"a":' * 12_000, b"[" * 200_000):
        assert server.request("POST", "/admin/v1/clients", body, headers).status in {400, 413, 422}
    assert time.monotonic() - started < 1
    assert_not_logged(server)


@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"alg":"\xff"}', b"\x00", "ünïcode".encode("utf-16")])
def test_jose_06_not_utf_8(server: RunningServer, client: Client, forge: Forge, content: bytes) -> None:
    """JOSE-06: a header or payload that is not UTF-8 is refused."""
    assert_refused_everywhere(server, forge.sign(content, admin_claims(forge)), client)
    assert_refused_everywhere(server, forge.sign(forge.header(), content), client)


def test_jose_06_not_utf_8_inside_good_claims(server: RunningServer, client: Client, forge: Forge) -> None:
    """JOSE-06: one byte that is no UTF-8 in an extra claim, or a lone surrogate, spoils a well signed token."""
    claims = json.dumps(admin_claims(forge)).encode()
    for extra in (b',"x":"\xff"}', b',"\xc3":1}'):
        assert_refused_everywhere(server, forge.sign(forge.header(), claims[:-1] + extra), client)


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("change", ["=", "==", "\n", " ", "+", "/", "\t", ".", "é", "last"])
def test_jose_07_one_spelling(server: RunningServer, client: Client, index: int, change: str) -> None:
    """JOSE-07: padding, foreign characters, whitespace, stray last bits: no token has a second spelling."""
    token = server.token(client)
    segments = token.split(".")
    segments[index] = aliased(segments[index]) if change == "last" else segments[index] + change
    alias = ".".join(segments)
    if alias == token:
        pytest.fail("the segment has no stray bits")
    assert_refused_everywhere(server, alias, client)
    assert server.introspect(token, client).json()["active"] is True


def aliased(segment: str) -> str:
    """Return another spelling of the same bytes where stray bits allow it, else one that is only padded."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    if len(segment) % 4 == 0:
        return segment + "===="
    other = segment[:-1] + alphabet[alphabet.index(segment[-1]) ^ 1]
    padding = "=" * (-len(segment) % 4)
    assert base64.urlsafe_b64decode(other + padding) == base64.urlsafe_b64decode(segment + padding)
    return other


@pytest.mark.parametrize("size", [600, 12_000, 60_000])
def test_jose_08_large_headers(server: RunningServer, client: Client, forge: Forge, size: int) -> None:
    """JOSE-08: a large header, well signed, is refused before it is decoded; 5 MB end at the front door."""
    token = forge.sign({**forge.header(), "x": "x" * size}, admin_claims(forge))
    if len(token) < 60_000:
        assert_refused_everywhere(server, token, client)
    huge = f"{'A' * 5_000_000}.{token.partition('.')[2]}"
    assert server.form("/oauth2/introspect", {"token": huge}, credentials(client)).status == 413


def test_jose_09_malleated(server: RunningServer, client: Client) -> None:
    """JOSE-09: the copy with the other good signature of a revoked token is refused at every door."""
    token = server.token(client, resource=ADMIN_API)
    copy = malleated(token)
    assert server.admin("GET", "/status", token=copy).status == 200
    assert server.revoke(token, client).status == 200
    for text in (token, copy):
        assert_refused_everywhere(server, text, client)


JWE_HEADERS = [
    {"alg": "dir", "enc": "A256GCM", "zip": "DEF"},
    {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2**31, "p2s": "c2FsdA"},
    {"alg": "RSA-OAEP", "enc": "A256GCM"},
]


@pytest.mark.parametrize("header", JWE_HEADERS)
@pytest.mark.parametrize("segments", [3, 5])
def test_jose_10_no_jwe(
    server: RunningServer, client: Client, forge: Forge, header: dict[str, Any], segments: int
) -> None:
    """JOSE-10: JWE does not exist here: neither five segments nor its headers on three are read."""
    header = {**header, "kid": forge.kid}
    five = ".".join([encode(header), "a2V5", "aXY", b64(b"x" * 5000), "dGFn"])
    assert_refused_everywhere(server, five if segments == 5 else forge.sign(header, admin_claims(forge)), client)


ALGS = ["none", "None", "NONE", "", "HS256", "HS512", "RS256", "PS256", "ES384", "EdDSA", "Ed25519", 5, None, ["ES256"]]


@pytest.mark.parametrize("alg", ALGS)
def test_jose_19_another_alg(server: RunningServer, client: Client, forge: Forge, alg: object) -> None:
    """JOSE-19: a header whose alg is not the key's own is refused, signed, unsigned, or MACed by the public key."""
    header = {**forge.header(), "alg": alg}
    signed = forge.sign(header, admin_claims(forge))
    assert_refused_everywhere(server, signed, client)
    assert_refused_everywhere(server, signed.rpartition(".")[0] + ".", client)
    pem = server.admin("GET", f"/signing-keys/{forge.kid}/pem").body
    jwk = next(k for k in server.get("/.well-known/jwks.json").json()["keys"] if k["kid"] == forge.kid)
    for public in (pem, pem.strip(), json.dumps(jwk).encode()):
        assert_refused_everywhere(server, maced(public, {**header, "alg": "HS256"}, admin_claims(forge)), client)


def maced(secret: bytes, header: object, claims: object) -> str:
    """Return an HS256 token under a secret of the caller's choice."""
    signing_input = f"{encode(header)}.{encode(claims)}"
    return f"{signing_input}.{b64(hmac.digest(secret, signing_input.encode(), hashlib.sha256))}"


MEMBERS = [
    {"kid": None},
    {"kid": "unknown"},
    {"kid": ""},
    {"typ": None},
    {"typ": "at+JWT"},
    {"typ": "application/at+jwt"},
    {"typ": "JOSE"},
    {"jku": "http://127.0.0.1:9/jwks.json"},
    {"x5u": "http://127.0.0.1:9/chain.pem"},
    {"jwk": {"kty": "oct", "k": "c2VjcmV0"}},
    {"x5c": ["MIIB"]},
    {"zip": "DEF"},
    {"cty": "JWT"},
]


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_jose_19_headers_we_never_write(
    server: RunningServer, client: Client, forge: Forge, member: dict[str, Any]
) -> None:
    """JOSE-19, JOSE-01: a missing, foreign or additional header member is refused, and no URL in it is asked."""
    assert_refused_everywhere(server, forge.sign(forge.header(**member), admin_claims(forge)), client)


def test_jose_19_an_hs256_key_signs_for_its_resource_only(server: RunningServer, client: Client, forge: Forge) -> None:
    """JOSE-19: who holds the secret of one resource writes himself no token for the API of the management."""
    token = server.token(client, resource=HS_API)
    header = header_of(token)
    honest = maced(SHARED_SECRET.encode(), header, forge.claims("victim", aud=HS_API))
    assert server.introspect(honest, client).json()["active"] is True
    for audience in (ADMIN_API, API, OTHER_HS_API, [HS_API, ADMIN_API]):
        claims = forge.claims("victim", aud=audience, scope="status:read")
        assert_refused_everywhere(server, maced(SHARED_SECRET.encode(), header, claims), client)
    other = header_of(server.token(client, resource=OTHER_HS_API))
    assert_refused_everywhere(server, maced(SHARED_SECRET.encode(), other, forge.claims("victim", aud=HS_API)), client)


def test_jose_19_a_key_of_another_algorithm(server: RunningServer, client: Client, forge: Forge) -> None:
    """JOSE-19: the header of another of our keys on a good token is refused."""
    token = forge.sign(forge.header(), admin_claims(forge))
    hs256 = header_of(server.token(client, resource=HS_API))
    assert_refused_everywhere(server, with_header(token, hs256), client)
