"""RS-08: what comes from somebody else, or is not what was asked for, is never believed."""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from authserver.resource_server import CannotVerify, InvalidToken, engine
from tests.redis_server import wait_for
from tests.resource_server.scripted import CONFIG, FEED, INTROSPECT, JWKS, Answer, Scripted, answer, scripted, send

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and its self-signed certificate for 127.0.0.1."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(NAME, NAME, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Run a scripted server without TLS."""
    with scripted() as running:
        yield running


def test_rs_08_a_certificate_that_nobody_vouches_for(certificate: Path) -> None:
    """RS-08: keys, feed and configuration of a server with a certificate of its own are refused without the CA."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with scripted(tls=tls) as server:
        token = server.issuer.mint()
        for source in (server.document(), server.url + CONFIG):
            with server.verifier(source) as verifier, pytest.raises(CannotVerify):
                verifier.verify(token)
        assert server.asked == []
        trusting = ssl.create_default_context(cafile=str(certificate))
        for source in (server.document(), server.url + CONFIG):
            with server.verifier(source, ssl_context=trusting) as verifier:
                assert verifier.verify(token).client_id == "cl_1"


def test_rs_08_a_certificate_of_another_host(certificate: Path) -> None:
    """RS-08: a certificate of a CA that is trusted, for another name, is refused."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with scripted(tls=tls) as server:
        elsewhere = json.loads(json.dumps(server.document()).replace("127.0.0.1", "localhost"))
        context = ssl.create_default_context(cafile=str(certificate))
        with server.verifier(elsewhere, ssl_context=context) as verifier, pytest.raises(CannotVerify):
            verifier.verify(server.issuer.mint())


@pytest.mark.parametrize("path", [JWKS, FEED, CONFIG])
@pytest.mark.parametrize("status", [301, 308])
def test_rs_08_redirects(server: Scripted, path: str, status: int) -> None:
    """RS-08: a redirect is no answer, also to the same host; nobody is asked in its place."""
    server.answers[path] = answer(status, b"", location=f"{server.url}/elsewhere")
    with server.verifier(server.url + CONFIG) as verifier, pytest.raises(CannotVerify):
        verifier.verify(server.issuer.mint())
    assert server.count(path) > 0
    assert server.count("/elsewhere") == 0


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Write a body without end."""
    handler.send_response(200)
    handler.send_header("connection", "close")
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65_536)


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Write a byte now and then, so that no read waits long."""
    handler.send_response(200)
    handler.send_header("connection", "close")
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    """Write half of what was announced."""
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"keys":[')
    handler.close_connection = True


def bomb(handler: BaseHTTPRequestHandler) -> None:
    """Write 50 MB of blanks, compressed, though nobody asked for compression."""
    assert handler.headers["accept-encoding"] == "identity"
    send(handler, 200, gzip.compress(b" " * 50_000_000, 1), content_encoding="gzip")


@pytest.mark.parametrize("path", [JWKS, FEED, CONFIG])
@pytest.mark.parametrize("reply", [endless, dripping, cut_off])
def test_rs_08_answers_without_end(server: Scripted, path: str, reply: Answer) -> None:
    """RS-08: an answer that is too long, too slow or too short is given up in time; nothing of it is believed."""
    server.answers[path] = reply
    started = time.monotonic()
    with server.verifier(server.url + CONFIG, timeout_seconds=0.25) as verifier:
        with pytest.raises(CannotVerify):
            verifier.verify(server.issuer.mint())
        assert time.monotonic() - started < 10
        server.answers.clear()
        wait_for(lambda: verifier.status().ready, "the honest answer")
        assert verifier.verify(server.issuer.mint())


def test_rs_08_compressed_answers(server: Scripted) -> None:
    """RS-08: what is compressed is not unpacked."""
    server.answers[JWKS] = bomb
    with server.verifier() as verifier, pytest.raises(CannotVerify):
        verifier.verify(server.issuer.mint())


@pytest.mark.parametrize("content", [b"", b"null", b"\xff", b"[" * 200_000, b'{"keys":{}}'])
@pytest.mark.parametrize("path", [JWKS, FEED, CONFIG])
def test_rs_08_answers_that_are_something_else(server: Scripted, path: str, content: bytes) -> None:
    """RS-08: 200 with something else is no answer; the next honest one counts at once, whatever its ETag was."""
    server.answers[path] = answer(200, content, etag='"same"')
    verifier = server.verifier(server.url + CONFIG)
    with contextlib.closing(verifier):
        with pytest.raises(CannotVerify):
            verifier.verify(server.issuer.mint())
        server.answers.clear()
        if not (path == CONFIG and content in (b"null", b'{"keys":{}}')):  # a configuration refused is asked for later
            wait_for(lambda: verifier.status().ready, "the honest answer")
            assert verifier.verify(server.issuer.mint())


def test_a_key_set_that_has_not_changed(server: Scripted) -> None:
    """RFC 9110 §13.1.2: 304 keeps the keys, and is believed only from a server that has sent some."""

    def keys(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers["if-none-match"] == '"1"':
            send(handler, 304, b"")
        else:
            send(handler, 200, server.key_set(), etag='"1"')

    server.answers[JWKS] = answer(304, b"")
    with server.verifier() as verifier:
        with pytest.raises(CannotVerify):
            verifier.verify(server.issuer.mint())
        server.answers[JWKS] = keys
        wait_for(lambda: verifier.status().ready, "the keys")
        asked = server.count(JWKS)
        server.keys.append({})
        wait_for(lambda: server.count(JWKS) > asked, "the other key set")
        assert verifier.verify(server.issuer.mint())
        assert len(json.loads(verifier.key_set)["keys"]) == 1


@pytest.mark.parametrize("body", [{}, {"active": "true"}, [], None, {"active": True}, {"active": True, "aud": "other"}])
def test_introspection_answers_that_are_none(server: Scripted, body: Any) -> None:
    """RFC 7662 §2.2: an answer that does not say for whom and to whom is no permission."""
    server.answers[INTROSPECT] = answer(200, body)
    with server.verifier(introspection="always") as verifier, pytest.raises((CannotVerify, InvalidToken)):
        verifier.verify("opaque")


@pytest.mark.parametrize("token", ["", "é", "\ud800", "a b", "x" * 20_000, "a\r\nb"])
def test_what_is_no_token_is_not_asked_about(server: Scripted, token: str) -> None:
    """What cannot be a token is refused with 401 without a question, in every mode."""
    for mode in ("always", "foreign"):
        with server.verifier(introspection=mode, follow_revocations=False) as verifier, pytest.raises(InvalidToken):
            verifier.verify(token)
    assert server.count(INTROSPECT) == 0


def test_questions_are_not_asked_without_a_bound(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can send texts that could be tokens: past a number that wait, the next one is 503 at once."""
    monkeypatch.setattr(engine, "_MAX_INTROSPECTIONS", 3)
    let_go = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        let_go.wait(10)
        send(handler, 200, {"active": False})

    server.answers[INTROSPECT] = hang
    with server.verifier(introspection="foreign", timeout_seconds=10) as verifier, ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(verifier.verify, f"opaque-{number}") for number in range(3)]
        wait_for(lambda: server.count(INTROSPECT) == 3, "three questions")
        with pytest.raises(CannotVerify, match="too many"):
            verifier.verify("opaque-4")
        let_go.set()
        assert [type(asked.exception(10)) for asked in waiting] == [InvalidToken] * 3
        with pytest.raises(InvalidToken):
            verifier.verify("opaque-5")


def test_rs_13_bound_tokens_by_introspection(server: Scripted) -> None:
    """RS-13: a binding that the authorization server tells of is asked to be proved like one in the token."""
    honest = {"active": True, "client_id": "cl_1", "aud": server.issuer.audience}
    server.answers[INTROSPECT] = answer(200, {**honest, "cnf": {"jkt": "x"}})
    with server.verifier(introspection="foreign") as verifier:
        with pytest.raises(InvalidToken):
            verifier.verify("opaque")
        assert verifier.verify("opaque", proof=lambda cnf: cnf == {"jkt": "x"}).client_id == "cl_1"
        server.answers[INTROSPECT] = answer(200, {**honest, "cnf": "x"})
        with pytest.raises(InvalidToken):
            verifier.verify("opaque", proof=lambda _: True)


def test_plain_http_goes_by_no_proxy(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """RS-08: what is not encrypted stays on this host, whatever proxy the environment names."""
    with scripted() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with server.verifier() as verifier:
            assert verifier.verify(server.issuer.mint())
        assert proxy.asked == []
