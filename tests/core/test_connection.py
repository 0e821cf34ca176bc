"""What speaks against a connection."""

from __future__ import annotations

import ssl

import pytest

from authserver.core.connection import reason_against


@pytest.mark.parametrize("seconds", [0, -1, 0.009, 3_601, float("nan"), float("inf")])
def test_a_timeout_that_cannot_work(seconds: float) -> None:
    """Neither none at all nor one that never ends."""
    assert reason_against(timeout_seconds=seconds, ssl_context=None) == "timeout_seconds must be 0.01 to 3600"


@pytest.mark.parametrize("mode", [ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED])
def test_a_context_that_verifies_nothing(mode: ssl.VerifyMode) -> None:
    """Whoever is in between could answer: the certificate is needed, and for that host."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = mode
    assert reason_against(timeout_seconds=5, ssl_context=context) == "the ssl_context does not verify the server"


@pytest.mark.parametrize("seconds", [0.01, 5, 3_600])
def test_what_nothing_speaks_against(seconds: float) -> None:
    """The system's authorities, or a private one's."""
    for context in (None, ssl.create_default_context()):
        assert reason_against(timeout_seconds=seconds, ssl_context=context) is None
