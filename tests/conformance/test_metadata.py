"""Discovery, Host, caching, CORS and headers: section META of the catalogue (RFC 8414)."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.expectations import assert_refused, send_raw
from tests.server import AUTHSERVER, FORM, RunningServer, credentials, free_port, header_of, start_server

WELL_KNOWN = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
JWKS = "/.well-known/jwks.json"
PUBLIC = (*WELL_KNOWN, JWKS, "/openapi.json")
GRANT = b"grant_type=client_credentials"


@pytest.fixture(scope="module")
def document(server: RunningServer) -> dict[str, Any]:
    """Return the metadata as published."""
    metadata: dict[str, Any] = server.get(WELL_KNOWN[0]).json()
    return metadata


@pytest.mark.parametrize("path", WELL_KNOWN)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "1"},
        {"Forwarded": "host=evil.example;proto=https"},
        {"X-Original-URL": "/evil.example", "X-Rewrite-URL": "/evil.example"},
        {"X-Forwarded-Prefix": "/evil.example", "X-Script-Name": "/evil.example"},
    ],
)
def test_metadata_knows_no_request(
    server: RunningServer, document: Mapping[str, Any], path: str, headers: Mapping[str, str]
) -> None:
    """META-01, META-02: issuer and URLs come from the configuration, whatever the request says (RFC 8414 §3.3)."""
    response = server.get(path, headers)
    assert response.status == 200
    assert response.json() == document
    assert document["issuer"] == server.url
    urls = [value for name, value in document.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(urls) == 5
    assert all(url.startswith(server.url + "/") for url in urls)


@pytest.mark.parametrize("target", ["http://evil.example", "https://evil.example:1", "http://user@evil.example"])
def test_an_absolute_target_has_no_effect(server: RunningServer, document: Mapping[str, Any], target: str) -> None:
    """META-02: a request line with an absolute URL is refused, or answered as the same path would be."""
    response = send_raw(server, f"GET {target}{WELL_KNOWN[0]} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
    assert b"evil" not in response.body
    assert response.status in {200, 400, 404}
    assert response.status != 200 or response.json() == document


def test_a_token_knows_no_host(server: RunningServer) -> None:
    """META-02: `iss` is the issuer of the configuration, under whatever name the server was reached."""
    client = server.create_client()
    form = {"grant_type": "client_credentials"}
    forwarded = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    token = server.form("/oauth2/token", form, credentials(client), forwarded).json()["access_token"]
    assert server.introspect(token, client).json()["iss"] == server.url


@pytest.mark.parametrize(
    "hosts", [["evil.example/x?y#"], ["a", "b"], ["a", "a"], [], ["a b"], ["user@a"], ["a:port"], [""]]
)
@pytest.mark.parametrize("path", [WELL_KNOWN[0], "/admin/v1/clients", "/oauth2/token"])
def test_a_bad_host_is_refused(server: RunningServer, hosts: list[str], path: str) -> None:
    """META-03: a Host that is none, two of them or a missing one reach neither routing nor authorization."""
    lines = [f"GET {path} HTTP/1.1", *(f"Host: {host}" for host in hosts), "", ""]
    response = send_raw(server, "\r\n".join(lines).encode())
    assert_refused(response, 400, "invalid_request", "evil")


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Yield a server whose issuer has a path."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}/tenant"
    with start_server(tmp_path_factory.mktemp("tenant"), port=port, AUTHSERVER_ISSUER=issuer) as running:
        yield running


def test_an_issuer_with_a_path_is_found(tenant: RunningServer) -> None:
    """META-04: its metadata stands where RFC 8414 §3.1 says, and where OpenID Connect Discovery §4 says."""
    for path in (*(f"{place}/tenant" for place in WELL_KNOWN), "/tenant/.well-known/openid-configuration"):
        response = tenant.get(path)
        assert response.status == 200
        assert response.json()["issuer"] == f"{tenant.url}/tenant"


@pytest.mark.parametrize("wrong", ["other", "tenant2", "Tenant", "tenant/", "tenant/x", "tenant%2f", "%74enant"])
def test_another_tenant_is_not_found(tenant: RunningServer, wrong: str) -> None:
    """META-04: the metadata of this issuer is served for no other path."""
    for place in WELL_KNOWN:
        assert tenant.get(f"{place}/{wrong}").status == 404
    assert tenant.get(f"/{wrong}/.well-known/openid-configuration").status == 404


def test_what_an_issuer_with_a_path_advertises_works(tenant: RunningServer) -> None:
    """META-04, META-06: each URL in the metadata answers, and tokens carry the issuer with its path."""
    metadata = tenant.get(f"{WELL_KNOWN[0]}/tenant").json()
    client = tenant.create_client()

    def path_of(name: str) -> str:
        return str(metadata[name]).removeprefix(tenant.url)

    response = tenant.form(path_of("token_endpoint"), GRANT, credentials(client))
    assert response.status == 200
    token = response.json()["access_token"]
    answer = tenant.form(path_of("introspection_endpoint"), {"token": token}, credentials(client))
    assert answer.json()["iss"] == metadata["issuer"]
    assert tenant.get(path_of("jwks_uri")).json()["keys"]
    assert tenant.form(path_of("revocation_endpoint"), {"token": token}, credentials(client)).status == 200
    assert tenant.get(path_of("authorization_endpoint")).status == 400


def test_advertised_methods_are_those_that_work(server: RunningServer, document: Mapping[str, Any]) -> None:
    """META-06: each authentication method advertised works at each endpoint, and no other can be registered."""
    advertised = set(document["token_endpoint_auth_methods_supported"])
    assert advertised == set(document["introspection_endpoint_auth_methods_supported"])
    assert advertised == set(document["revocation_endpoint_auth_methods_supported"])
    known = {"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"}
    known |= {"none", "tls_client_auth", "self_signed_tls_client_auth", "attest_jwt_client_auth"}
    for method in known | advertised:
        registered = {"client_name": "m", "token_endpoint_auth_method": method}
        created = server.admin("POST", "/clients", registered)
        assert (created.status == 201) == (method in advertised)
        if created.status == 201:
            _use_everywhere(server, document, created.json(), method)


def _use_everywhere(server: RunningServer, document: Mapping[str, Any], client: Mapping[str, Any], method: str) -> None:
    is_basic = method == "client_secret_basic"
    body = {} if is_basic else {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    for endpoint in ("token", "introspection", "revocation"):
        path = str(document[f"{endpoint}_endpoint"]).removeprefix(server.url)
        fields = {"grant_type": "client_credentials", "token": "x", **body}
        assert server.form(path, fields, credentials(client) if is_basic else None).status == 200


def test_advertised_grants_are_those_that_work(server: RunningServer, document: Mapping[str, Any]) -> None:
    """META-06: the grant types advertised work, every other one is unsupported."""
    client = server.create_client()
    assert document["grant_types_supported"] == ["client_credentials"]
    assert server.token_response(client).status == 200
    for grant in ("authorization_code", "refresh_token", "password", "urn:ietf:params:oauth:grant-type:jwt-bearer"):
        response = server.form("/oauth2/token", {"grant_type": grant, "code": "x"}, credentials(client))
        assert_refused(response, 400, "unsupported_grant_type")


def test_the_authorization_endpoint_refuses(server: RunningServer, document: Mapping[str, Any]) -> None:
    """META-06: no response type is advertised and none works; nobody is redirected (RFC 6749 §4.1.2.1)."""
    assert document["response_types_supported"] == []
    path = str(document["authorization_endpoint"]).removeprefix(server.url)
    response = server.get(f"{path}?response_type=code&client_id=x&redirect_uri=https://evil.example")
    assert_refused(response, 400, "invalid_request", "evil")
    assert "location" not in response.headers


def test_tokens_are_signed_by_published_keys(server: RunningServer) -> None:
    """META-06: the key of a token stands in the JWKS, with the algorithm of its header and no private member."""
    header = header_of(server.token(server.create_client()))
    keys = {key["kid"]: key for key in server.get(JWKS).json()["keys"]}
    assert keys[header["kid"]]["alg"] == header["alg"]
    assert all(not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key) for key in keys.values())


def test_the_keys_are_cheap_to_ask_for_again(server: RunningServer) -> None:
    """The JWK Set has a strong ETag; who has it gets 304 with the same headers, until the keys change (RFC 9110)."""
    first = server.get(JWKS)
    etag = first.headers["etag"]
    assert etag.startswith('"')
    for known in (etag, f"W/{etag}", f'"other", {etag}', f'"a,b",W/{etag} , "c"', "*"):
        again = server.get(JWKS, {"If-None-Match": known})
        assert (again.status, again.body) == (304, b"")
        assert "content-length" not in again.headers
        for name in ("etag", "cache-control", "access-control-allow-origin"):
            assert again.headers[name] == first.headers[name]
    assert server.request("HEAD", JWKS, None, {"If-None-Match": etag}).status == 304
    for unknown in ('"other"', etag.strip('"'), "", '"', f'"{etag}"', "W/*", f"x{etag[1:]}"):
        answer = server.get(JWKS, {"If-None-Match": unknown})
        assert (answer.status, answer.body, answer.headers["etag"]) == (200, first.body, etag)
    assert server.admin("POST", "/signing-keys/rotate", {"force": True}).status == 200
    changed = server.get(JWKS, {"If-None-Match": etag})
    assert changed.status == 200
    assert changed.headers["etag"] != etag
    assert changed.json() != first.json()


def test_a_connection_goes_on_after_304(server: RunningServer) -> None:
    """304 has no body, so that the next answer on the same connection is read from its beginning (RFC 9112 §6.3)."""
    etag = server.get(JWKS).headers["etag"]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    with contextlib.closing(connection):
        for known, status in ((etag, 304), ('"other"', 200), (etag, 304)):
            connection.request("GET", JWKS, None, {"If-None-Match": known})
            response = connection.getresponse()
            assert (response.status, bool(response.read())) == (status, status == 200)


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_no_page_may_read_what_is_not_public(server: RunningServer, origin: str) -> None:
    """META-07: no CORS header on what needs credentials, before or after a preflight; `*` on public documents."""
    client = server.create_client()
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answers = [
        server.form("/oauth2/token", GRANT, credentials(client), {"Origin": origin}),
        server.form("/oauth2/introspect", {"token": "x"}, credentials(client), {"Origin": origin}),
        server.form("/oauth2/revoke", {"token": "x"}, credentials(client), {"Origin": origin}),
        server.admin("GET", "/clients", headers={"Origin": origin}),
        *(server.request("OPTIONS", path, None, preflight) for path in ("/oauth2/token", "/admin/v1/clients")),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    for path in PUBLIC:
        headers = server.get(path, {"Origin": origin}).headers
        assert headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize("value", ["0", "1"])
def test_production_does_not_start_unsafely(tmp_path: Path, value: str) -> None:
    """META-08: an http issuer and any value of AUTHLIB_INSECURE_TRANSPORT are refused, in one message."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AUTHSERVER_")}
    environment |= {"AUTHSERVER_DATA_DIR": str(tmp_path), "AUTHSERVER_ISSUER": "http://as.example"}
    environment |= {"AUTHLIB_INSECURE_TRANSPORT": value, "AUTHSERVER_SECRET_KEY": "s" * 40}
    arguments = [AUTHSERVER, "serve", "--port", str(free_port())]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "https" in done.stderr
    assert "AUTHLIB_INSECURE_TRANSPORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_all_other_answers_are_kept_to_themselves(server: RunningServer) -> None:
    """META-09: what is not public is stored by no cache; nothing is sniffed, no address is passed on."""
    client = server.create_client()
    private = [
        server.token_response(client),
        server.introspect("x", client),
        server.revoke("x", client),
        server.admin("GET", "/clients"),
        server.admin("POST", "/clients", {"client_name": "shown once"}),
        server.admin("GET", "/clients/nobody"),
        server.request("GET", "/admin/v1/clients"),
        server.get("/nowhere"),
        server.get("/oauth2/authorize"),
        server.get("/health/live"),
        server.get("/health/ready"),
        server.get("/metrics"),
        server.request("POST", "/oauth2/token", GRANT, {"Content-Type": FORM}),
    ]
    for answer in private:
        assert answer.headers["cache-control"] == "no-store"
    for answer in (*private, *map(server.get, PUBLIC)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers
    for path in PUBLIC:
        assert server.get(path).headers["cache-control"].startswith("public, max-age=")
