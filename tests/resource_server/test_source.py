"""What a service says when the authorization server refuses it, or is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from authserver.core.errors import ConfigurationError
from authserver.resource_server import CannotVerify, source
from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.source import Connection, Source, SourceFailed
from tests.redis_server import wait_for
from tests.resource_server.scripted import CREDENTIALS, INTROSPECT, Scripted, answer, scripted
from tests.server import free_port


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Run a scripted server."""
    with scripted() as running:
        yield running


def failure(document: object) -> str:
    """Ask for an introspection that fails; return what is said of it."""

    async def ask() -> str:
        asking = Source(Connection(**CREDENTIALS, timeout_seconds=1))
        try:
            with pytest.raises(SourceFailed) as caught:
                await asking.introspection(VerifierConfig.of(document, allow_http=False), "token")
        finally:
            await asking.close()
        return str(caught.value)

    said = asyncio.run(ask())
    assert CREDENTIALS["client_secret"] not in said
    return said


@pytest.mark.parametrize(
    ("status", "words"), [(401, "client id or secret is wrong"), (403, "is no resource server of this audience")]
)
def test_a_refusal_says_what_to_mend(server: Scripted, status: int, words: str) -> None:
    """401 is about the credentials, 403 about what the client is to the resource."""
    server.answers[INTROSPECT] = answer(status, {})
    said = failure(server.document())
    assert f"{server.url}{INTROSPECT} answers {status}: " in said
    assert words in said


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_server_that_is_not_there_is_named(server: Scripted, host: str) -> None:
    """By its address, without a query, and with what the system says of it."""
    address = f"http://{host}:{free_port()}/introspect"
    said = failure(server.document(introspection_endpoint=f"{address}?a=b"))
    assert said.startswith(f"ConnectError while asking {address}: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", "ftp://user:pr0xy-s3cr3t@127.0.0.1:1"),
        ("ALL_PROXY", "socks9://user:pr0xy-s3cr3t@127.0.0.1:1"),
        ("ALL_PROXY", "http://[::1"),
        ("SSL_CERT_FILE", "/missing/pr0xy-s3cr3t"),
    ],
)
def test_an_environment_that_cannot_be_used(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """It is said when the verifier is made, with what to mend, and without the password of a proxy."""
    source._system_trust.cache_clear()
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=r"HTTPS_PROXY, .*; mend or unset them") as caught:
        server.verifier()
    assert "pr0xy" not in str(caught.value)
    monkeypatch.delenv(name)
    server.verifier().close()


@pytest.mark.parametrize("wrong", [12345, b"bytes", "p\udce4ss", "line's end\n", "nul\0"])
@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_credentials_that_cannot_be_sent(server: Scripted, name: str, wrong: object) -> None:
    """What the environment holds in another encoding, for instance: it would end in a log instead of a request."""
    with pytest.raises(ConfigurationError, match=f"{name} must be a str of printable characters") as caught:
        server.verifier(**{name: wrong})
    assert str(wrong)[:3] not in str(caught.value)


def test_what_is_unexpected_shows_no_secret(
    server: Scripted, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U4: the representation of an error may hold its input; the log has its name, and where it was raised."""

    def broken(*_: object, **__: object) -> None:
        raise UnicodeEncodeError("utf-8", CREDENTIALS["client_secret"], 0, 1, "broken")

    monkeypatch.setattr(source.Source, "page", broken)
    with server.verifier() as verifier:
        wait_for(lambda: "the verifier starts again: UnicodeEncodeError" in caplog.text, "the failure")
        with pytest.raises(CannotVerify):
            verifier.verify(server.issuer.mint())
    assert "in broken" in caplog.text
    assert CREDENTIALS["client_secret"] not in caplog.text
