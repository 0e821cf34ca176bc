"""Where the client's secret goes: to the right server, over TLS (RFC 6749 §3.2, RFC 8414 §3)."""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from authserver.token_client import ClientCredentials, TokenUnavailable
from tests.token_client.scripted_server import SECRET, Reply, ScriptedServer, scripted_server, travel

WELL_KNOWN = "/.well-known/oauth-authorization-server"


def publish(scripted: ScriptedServer, path: str = "", **members: Any) -> str:
    """Serve metadata for an issuer with this path; return the issuer."""
    issuer = scripted.url + path
    document = {"issuer": issuer, "token_endpoint": scripted.url + "/token", **members}
    body = json.dumps(document).encode()
    scripted.serve = lambda seen: Reply(200, body) if seen.path == WELL_KNOWN + path.rstrip("/") else Reply(404)
    return issuer


@pytest.mark.parametrize("path", ["", "/", "/tenant", "/tenant/", "/a/b%20c"])
def test_the_token_endpoint_is_found_by_the_issuer(scripted: ScriptedServer, path: str) -> None:
    """The well-known part stands between host and path; two tokens need one look (RFC 8414 §3.1)."""
    credentials = scripted.credentials(issuer=publish(scripted, path))
    assert credentials.token().access_token == "token-1"
    travel(credentials, 3600)
    assert credentials.token().access_token == "token-2"
    assert len(scripted.resource_requests) == 1


def test_metadata_of_another_issuer_name_both(scripted: ScriptedServer) -> None:
    """What answers there, and what was asked for; a text that could steer a terminal is left out."""
    issuer = publish(scripted, issuer="https://other.example")
    with pytest.raises(TokenUnavailable, match=f"those of https://other.example, not of {issuer}"):
        scripted.credentials(issuer=issuer).token()
    with pytest.raises(TokenUnavailable, match="those of another issuer, not of"):
        scripted.credentials(issuer=publish(scripted, issuer="\x1b[2J")).token()


@pytest.mark.parametrize(
    "members",
    [
        {"issuer": "http://127.0.0.1"},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"token_endpoint": "ftp://127.0.0.1/token"},
        {"token_endpoint": "/token"},
        {"token_endpoint": "http://\r\n"},
    ],
)
def test_metadata_that_mislead_are_not_followed(scripted: ScriptedServer, members: dict[str, str]) -> None:
    """Another issuer, an endpoint in the clear or none: the secret stays here."""
    with pytest.raises(TokenUnavailable, match="metadata"):
        scripted.credentials(issuer=publish(scripted, **members)).token()
    assert scripted.token_requests == []


@pytest.mark.parametrize("body", [b"<h1>Not Found</h1>", b'{"status": 404, "error": "Not Found"}'])
def test_an_endpoint_that_moved_is_found_again(scripted: ScriptedServer, body: bytes) -> None:
    """After a failure the metadata are read anew; a 404 is one, whatever a framework writes into it."""
    credentials = scripted.credentials(issuer=publish(scripted, token_endpoint=scripted.url + "/gone"))
    published = scripted.serve
    scripted.serve = lambda seen: Reply(404, body) if seen.path == "/gone" else published(seen)
    with pytest.raises(TokenUnavailable, match="404"):
        credentials.token()
    publish(scripted)
    travel(credentials, 61)
    assert credentials.token().access_token == "token-1"


def test_metadata_with_a_retry_after_are_not_asked_for_before(scripted: ScriptedServer) -> None:
    """The same patience as with the token endpoint."""
    scripted.serve = lambda _: Reply(503, b"", {"Retry-After": "100"})
    credentials = scripted.credentials(issuer=scripted.url)
    with pytest.raises(TokenUnavailable, match="503") as caught:
        credentials.token()
    assert 100 <= (caught.value.retry_after_seconds or 0) <= 110


def test_a_redirect_of_the_token_endpoint_is_not_followed(scripted: ScriptedServer) -> None:
    """The secret goes nowhere else."""
    scripted.issue = lambda _: Reply(307, b"", {"Location": scripted.url + "/elsewhere"})
    with pytest.raises(TokenUnavailable, match="redirect"):
        scripted.credentials().token()
    assert len(scripted.seen) == 1


def test_an_endless_answer_is_cut(scripted: ScriptedServer) -> None:
    """64 KiB are enough for any token response."""
    scripted.issue = lambda _: Reply(200, b" " * (64 * 1024 + 1))
    with pytest.raises(TokenUnavailable, match="too large"):
        scripted.credentials().token()


def test_a_proxy_is_not_asked_for_loopback(scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY holds for others: it would get the secret in the clear, and reach its own loopback."""
    with scripted_server() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert scripted.credentials().token().access_token == "token-1"
        assert proxy.seen == []


GOOD: dict[str, Any] = {"client_id": "billing", "client_secret": SECRET, "token_endpoint": "https://a.example/token"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"token_endpoint": None}, "one of"),
        ({"issuer": "https://a.example"}, "one of"),
        ({"token_endpoint": "http://a.example/token"}, "https"),
        ({"token_endpoint": "http://127.0.0.1.example/token"}, "https"),
        ({"token_endpoint": "http://localhost.example/token"}, "https"),
        ({"token_endpoint": "https://user:pw@a.example/token"}, "user"),
        ({"token_endpoint": "https://a.example/token#f"}, "fragment"),
        ({"token_endpoint": "https:///token"}, "host"),
        ({"token_endpoint": "https://a.example:x/"}, "URL"),
        ({"token_endpoint": "token"}, "host"),
        ({"token_endpoint": None, "issuer": "http://a.example"}, "https"),
        ({"token_endpoint": None, "issuer": "https://a.example?x=1"}, "query"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a\nb"}, "client_id"),
        ({"client_secret": ""}, "secret"),
        ({"client_secret": "\udcff"}, "secret"),
        ({"auth_method": "none"}, "auth_method"),
        ({"timeout_seconds": 0}, "timeout"),
        *(({"timeout_seconds": seconds}, "timeout") for seconds in (float("nan"), float("inf"), 1e10, 0.0005)),
        ({"ssl_context": ssl._create_unverified_context()}, "verify"),  # noqa: S323 - refused, which is the test
    ],
)
def test_what_cannot_work_is_refused_at_once(change: dict[str, Any], message: str) -> None:
    """ValueError where the object is made, before anything is sent."""
    with pytest.raises(ValueError, match=message):
        ClientCredentials(**{**GOOD, **change})


def test_a_secret_of_another_type_is_refused_at_once() -> None:
    """Bytes would have to be decoded by guess."""
    with pytest.raises(TypeError, match="client_secret"):
        ClientCredentials(**{**GOOD, "client_secret": b"bytes"})


@pytest.fixture
def own_authority(tmp_path: Path) -> Iterator[tuple[ScriptedServer, ssl.SSLContext]]:
    """Yield a server with TLS, and the context that trusts its certificate."""
    file = tmp_path / "server.pem"
    file.write_bytes(_certificate())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with scripted_server(context) as server:
        yield server, ssl.create_default_context(cafile=str(file))


def test_a_private_authority_is_trusted_by_an_ssl_context(
    own_authority: tuple[ScriptedServer, ssl.SSLContext],
) -> None:
    """Without it the certificate is refused and the secret not sent; with it all is well."""
    server, context = own_authority
    with pytest.raises(TokenUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        server.credentials().token()
    assert server.seen == []
    assert server.credentials(ssl_context=context).token().access_token == "token-1"


def _certificate() -> bytes:
    """Return a key and a certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
