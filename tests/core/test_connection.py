"""What a connection must be, and which hosts are this machine."""

from __future__ import annotations

import ssl

import pytest

from authserver.core.connection import connection_problem, is_loopback


@pytest.mark.parametrize("seconds", [0, -1, 0.009, 3_601, float("nan"), float("inf")])
def test_a_timeout_that_cannot_work(seconds: float) -> None:
    """Neither none at all nor one that never ends."""
    assert connection_problem(timeout_seconds=seconds, ssl_context=None) == "timeout_seconds must be 0.01 to 3600"


@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_context_that_verifies_nothing(mode: ssl.VerifyMode) -> None:
    """Whoever is in between could answer: the certificate is needed, and for that host."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = mode
    assert connection_problem(timeout_seconds=5, ssl_context=context) == "the ssl_context does not verify the server"


@pytest.mark.parametrize("seconds", [0.01, 5, 3_600])
def test_what_nothing_speaks_against(seconds: float) -> None:
    """The system's authorities, or a private one's."""
    for context in (None, ssl.create_default_context()):
        assert connection_problem(timeout_seconds=seconds, ssl_context=context) is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "::1", "0:0:0:0:0:0:0:1"])
def test_this_machine(host: str) -> None:
    """The name, and the addresses of the loopback interface (RFC 6890 §2.2)."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["localhost.", "localhost.example", "127.0.0.1.example", "api.example", "10.0.0.1", "::2"]
)
def test_what_may_be_another_machine(host: str) -> None:
    """Names that begin as ours do, whatever a resolver would make of them, and other addresses."""
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["", "127.1", "0177.0.0.1", "0x7f.0.0.1", "2130706433", "[::1]", "127.0.0.1 ", "::"])
def test_what_is_no_address_of_this_machine(host: str) -> None:
    """Numbers that parsers read in two ways among them."""
    assert not is_loopback(host)
