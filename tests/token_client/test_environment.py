"""What the environment says of proxies and certificate authorities, when it cannot be used: a line that helps."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from authserver.token_client import ClientCredentials, TokenUnavailable
from tests.redis_server import wait_for
from tests.token_client.scripted_server import SECRET, ScriptedServer, travel

PROXY_SETTINGS = "the proxy settings of the environment"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with an environment that names none."""
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def why_not(host: str = "a.example") -> str:
    """Return why there is no token from a server there."""
    credentials = ClientCredentials(client_id="billing", client_secret=SECRET, token_endpoint=f"https://{host}/token")
    with pytest.raises(TokenUnavailable) as caught:
        credentials.token()
    return caught.value.reason


@pytest.mark.parametrize("variable", ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_without_its_package(monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str) -> None:
    """The message names what is to be installed; httpx2's own names another package."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(variable, f"{scheme}://user:p4ss@127.0.0.1:1080")
    assert why_not() == (
        "the proxy settings of the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY) cannot be used: "
        "a SOCKS proxy needs the package socksio, pip install 'httpx2[socks]'"
    )


@pytest.mark.parametrize(
    "proxy",
    ["ftp://user:p4ss@x", "http://user:p4ss/@x", "http://x:p4ss", "http://user:p4ss\n@x", "://", "http://u:\udcff@x"],
)
def test_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, proxy: str) -> None:
    """One line, without the URL: a password that is not escaped could be taken for a port."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    reason = why_not()
    assert reason.startswith(PROXY_SETTINGS)
    assert "http://, https://, socks5:// or socks5h://" in reason
    wait_for(lambda: reason in caplog.text, "the warning")
    assert "p4ss" not in caplog.text
    assert "\n" not in reason


def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, scripted: ScriptedServer) -> None:
    """Its status is told: 407 asks for a password, 403 and 502 do not. Here it is 501, for CONNECT."""
    monkeypatch.setenv("HTTPS_PROXY", scripted.url)
    assert "(ProxyError: 501 " in why_not()


@pytest.mark.parametrize("host", ["a..example", "a" * 64 + ".example"])
def test_a_host_that_no_resolver_takes(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """That of the server, or of its proxy."""
    assert "host name" in why_not(host)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{host}")
    assert "host name" in why_not()


def missing(directory: Path) -> Path:
    """Return a file that does not exist."""
    return directory / "none.pem"


def no_certificate(directory: Path) -> Path:
    """Return a file without a certificate."""
    (directory / "junk.pem").write_text("junk")
    return directory / "junk.pem"


@pytest.mark.parametrize(
    ("make", "words"), [(missing, "No such file or directory"), (no_certificate, "no certificate or crl found")]
)
def test_authorities_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    """The message names the variable, and says what the system says."""
    monkeypatch.setenv("SSL_CERT_FILE", str(make(tmp_path)))
    reason = why_not()
    assert reason.startswith("the certificate authorities of SSL_CERT_FILE or the system cannot be read: ")
    assert words.lower() in reason.lower()


def test_an_environment_that_is_mended(monkeypatch: pytest.MonkeyPatch, scripted: ScriptedServer) -> None:
    """What could not be used is looked at again by the next fetch."""
    credentials = scripted.credentials()
    with monkeypatch.context() as broken:
        broken.setenv("SSL_CERT_FILE", "/missing")
        with pytest.raises(TokenUnavailable, match="SSL_CERT_FILE") as caught:
            credentials.token()
    assert caught.value.retry_after_seconds == 1
    travel(credentials, 1)
    assert credentials.token().access_token == "token-1"
