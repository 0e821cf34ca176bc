"""Clients and verifiers that nobody here wrote: what users will point at this server."""

from __future__ import annotations

import json
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joserfc.jwt
import jwt
import pytest
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from jwt.algorithms import OKPAlgorithm

from tests.node_packages import NodeMissing, install_packages
from tests.server import API, RunningServer, credentials, header_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Authlib announces its own future on import
    from authlib.integrations.base_client import OAuthError
    from authlib.integrations.requests_client import OAuth2Session

OPENID_CLIENT = Path(__file__).with_name("openid_client")
METHODS = ["client_secret_basic", "client_secret_post"]
REQUIRED = ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"]
ALGS = ["ES256", "RS256", "PS256", "Ed25519"]

Client = dict[str, Any]


@pytest.fixture(scope="module")
def audiences(server: RunningServer) -> dict[str, str]:
    """Create a resource for each algorithm; return their identifiers."""
    identifiers = {alg: f"https://{alg.lower()}.example.com" for alg in ALGS}
    for alg, identifier in identifiers.items():
        server.create_resource(identifier, signing_alg=alg)
    return identifiers


@pytest.fixture(scope="module")
def client(server: RunningServer, audiences: dict[str, str]) -> Client:
    """Create a client of all of them."""
    return server.create_client(audiences=[API, *audiences.values()])


# ── Authlib ──


@pytest.fixture
def insecure_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Authlib's client speak plain http to the test server."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.fixture(params=METHODS)
def session(request: pytest.FixtureRequest, server: RunningServer, insecure_transport: None) -> Iterator[OAuth2Session]:
    """Yield a session of a client that uses either method."""
    made = server.create_client(token_endpoint_auth_method=request.param)
    client_id, secret = credentials(made)
    methods = {"token_endpoint_auth_method": request.param, "revocation_endpoint_auth_method": request.param}
    with OAuth2Session(client_id, secret, scope="read", **methods) as opened:
        yield opened


def test_authlib_gets_introspects_and_revokes(server: RunningServer, session: OAuth2Session) -> None:
    """REV-07: Authlib's OAuth2Session gets a token, sees it active, revokes it, and sees it inactive."""
    metadata = server.get("/.well-known/oauth-authorization-server").json()
    token = session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
    assert (token["token_type"], token["scope"]) == ("Bearer", "read")
    assert token["expires_in"] > 0
    assert "refresh_token" not in token
    text = token["access_token"]

    def introspected() -> dict[str, Any]:
        response = session.introspect_token(metadata["introspection_endpoint"], token=text)
        assert response.status_code == 200
        answer: dict[str, Any] = response.json()
        return answer

    assert introspected()["client_id"] == session.client_id
    revoked = session.revoke_token(metadata["revocation_endpoint"], token=text, token_type_hint="access_token")
    assert (revoked.status_code, revoked.content) == (200, b"")
    assert introspected() == {"active": False}


def test_authlib_sees_oauth_errors(server: RunningServer, session: OAuth2Session) -> None:
    """TOK-21, AUTH-14: Authlib raises our error codes: invalid_scope, and invalid_client for a wrong secret."""
    url = f"{server.url}/oauth2/token"
    with pytest.raises(OAuthError) as too_much:
        session.fetch_token(url, grant_type="client_credentials", scope="everything")
    assert too_much.value.error == "invalid_scope"
    session.client_secret = "not the secret"
    with pytest.raises(OAuthError) as refused:
        session.fetch_token(url, grant_type="client_credentials")
    assert refused.value.error == "invalid_client"


# ── openid-client for Node.js ──


@pytest.fixture(scope="module")
def node() -> str:
    """Install the Node.js clients from their lock file, once; skip where there is no Node.js."""
    try:
        return install_packages(OPENID_CLIENT)
    except NodeMissing:
        pytest.skip("Node.js with npm is not installed: npm's openid-client is not tried")


@pytest.fixture(scope="module", params=METHODS)
def said(request: pytest.FixtureRequest, server: RunningServer, node: str) -> dict[str, Any]:
    """Run the script of openid-client with one method; return what it says, and who it was."""
    made = server.create_client(token_endpoint_auth_method=request.param)
    given = {**made, "issuer": server.url, "method": request.param, "resource": API}
    command = [node, "client.mjs"]
    done = subprocess.run(
        command, cwd=OPENID_CLIENT, input=json.dumps(given), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "client_id": made["client_id"], "method": request.param}


@pytest.mark.parametrize("discovery", ["oauth2", "oidc"])
def test_openid_client_lives_a_whole_life(said: dict[str, Any], discovery: str) -> None:
    """META, REV-07: openid-client discovers at both well-known places, gets, verifies, introspects and revokes."""
    life = said[discovery]
    assert life["granted"]["token_type"] == "bearer"  # openid-client lower-cases it
    assert life["granted"]["scope"] == "read"
    assert life["payload"]["client_id"] == life["before"]["client_id"] == said["client_id"]
    assert life["before"]["active"] is True
    assert life["after"] == {"active": False}


def test_openid_client_sees_oauth_errors(said: dict[str, Any]) -> None:
    """AUTH-14, TOK-21: openid-client reads our errors; a 401 it did not challenge for keeps its body."""
    assert (said["wrong_scope"]["error"], said["wrong_scope"]["status"]) == ("invalid_scope", 400)
    assert (said["wrong_resource"]["error"], said["wrong_resource"]["status"]) == ("invalid_target", 400)
    if said["method"] == "client_secret_post":
        assert (said["wrong_secret"]["error"], said["wrong_secret"]["status"]) == ("invalid_client", 401)
    else:
        assert said["wrong_secret"]["code"] == "OAUTH_WWW_AUTHENTICATE_CHALLENGE"


# ── verifiers ──


@pytest.fixture
def rfc_9864() -> Iterator[None]:
    """Teach PyJWT the name `Ed25519` (RFC 9864) as its users do: it knows the algorithm as `EdDSA` only."""
    jwt.register_algorithm("Ed25519", OKPAlgorithm())
    yield
    jwt.unregister_algorithm("Ed25519")


def pyjwt_key(server: RunningServer, token: str) -> Any:
    """Return the key for a token as PyJWT's users get it; its client skips keys whose `alg` it does not know."""
    keys, header = jwt.PyJWKClient(f"{server.url}/.well-known/jwks.json"), header_of(token)
    if header["alg"] != "Ed25519":
        return keys.get_signing_key_from_jwt(token)
    (jwk,) = (key for key in keys.fetch_data()["keys"] if key["kid"] == header["kid"])
    return OKPAlgorithm.from_jwk(jwk)


@pytest.mark.parametrize("alg", ALGS)
def test_pyjwt_verifies(
    server: RunningServer, client: Client, audiences: dict[str, str], rfc_9864: None, alg: str
) -> None:
    """ROT-02: PyJWT's PyJWKClient finds the key and verifies signature, issuer, audience, times and claims."""
    token = server.token(client, resource=audiences[alg])
    key = pyjwt_key(server, token)

    def decode(issuer: str = server.url, audience: str = audiences[alg]) -> dict[str, Any]:
        decoded: dict[str, Any] = jwt.decode(
            token, key, algorithms=[alg], issuer=issuer, audience=audience, options={"require": REQUIRED}
        )
        return decoded

    assert decode()["client_id"] == client["client_id"]
    with pytest.raises(jwt.InvalidAudienceError):
        decode(audience=API)
    with pytest.raises(jwt.InvalidIssuerError):
        decode(issuer="https://other.example.com")


@pytest.mark.parametrize("alg", ALGS)
def test_joserfc_verifies(server: RunningServer, client: Client, audiences: dict[str, str], alg: str) -> None:
    """RS-01: joserfc verifies with the strict `at+jwt` type and every claim of RFC 9068, and refuses the rest."""
    token = server.token(client, resource=audiences[alg])
    keys = KeySet.import_key_set(server.get("/.well-known/jwks.json").json())
    verified = joserfc.jwt.decode(token, keys, algorithms=[alg])
    assert verified.header == {"alg": alg, "kid": header_of(token)["kid"], "typ": "at+jwt"}
    rules: dict[str, Any] = {name: {"essential": True} for name in REQUIRED}
    rules["iss"]["value"], rules["aud"]["value"] = server.url, audiences[alg]
    joserfc.jwt.JWTClaimsRegistry(**rules).validate(verified.claims)
    rules["aud"]["value"] = API
    with pytest.raises(JoseError):
        joserfc.jwt.JWTClaimsRegistry(**rules).validate(verified.claims)
    other = next(name for name in ALGS if name != alg)
    with pytest.raises((JoseError, ValueError)):
        joserfc.jwt.decode(token, keys, algorithms=[other])


def test_an_at_jwt_is_no_id_token(server: RunningServer, client: Client, audiences: dict[str, str]) -> None:
    """RS-01: a resource that asks for `typ: JWT` gets it; all others get `at+jwt`, which no ID token has."""
    identifier = "https://old.example.com"
    server.create_resource(identifier, token_typ="JWT")
    old = server.create_client(audiences=[identifier])
    assert header_of(server.token(old))["typ"] == "JWT"
    assert header_of(server.token(client, resource=audiences["ES256"]))["typ"] == "at+jwt"
