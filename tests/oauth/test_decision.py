"""The decision on a token request, by Authlib's grant but without its openings (RFC 6749 §4.4)."""

from __future__ import annotations

import logging

import pytest

from authserver.core.errors import InvalidScope, UnauthorizedClient, UnsupportedGrantType
from authserver.oauth.decision import Decision, DecisionServer
from tests.oauth.subjects import a_client, a_resource, loaded

GRANT = "client_credentials"


def test_a_decision_says_what_to_grant() -> None:
    """TOK-22: what comes back is the scope to issue, no token."""
    server = DecisionServer()
    assert server.decide(GRANT, "read", loaded()) == Decision(("read",))
    assert server.decide(GRANT, None, loaded()) == Decision(("read", "write"))


def test_inclusion_reaches_the_decision() -> None:
    """RES-06: `write` includes `read` where the resource says so."""
    resource = a_resource(write=("read",), read=())
    granted = loaded(a_client(scope=("write",)), resource)
    assert DecisionServer().decide(GRANT, "read", granted) == Decision(("read",))


@pytest.mark.parametrize("grant", ["", "password", "authorization_code", "Client_Credentials", 'x"\\é', "x\n"])
def test_other_grants_are_unsupported(grant: str) -> None:
    """TOK-07: one grant is known; characters that Authlib's errors refuse are no exception to that."""
    with pytest.raises(UnsupportedGrantType):
        DecisionServer().decide(grant, None, loaded())


def test_a_client_without_the_grant_is_unauthorized() -> None:
    """TOK-24: the client must be registered for the grant type."""
    with pytest.raises(UnauthorizedClient):
        DecisionServer().decide(GRANT, None, loaded(a_client(grant_types=())))


@pytest.mark.parametrize("scope", ["admin", "read admin", 'read"', "é", "a" * 5000])
def test_scope_errors_pass_through_authlib(scope: str) -> None:
    """TOK-20, TOK-21: our own error comes out, not one that Authlib renders."""
    with pytest.raises(InvalidScope):
        DecisionServer().decide(GRANT, scope, loaded())


def test_decisions_do_not_mix() -> None:
    """TOK-21: a decision keeps nothing of the one before."""
    server = DecisionServer()
    generous = loaded(a_client(scope=("admin",)))
    assert server.decide(GRANT, None, generous) == Decision(("admin",))
    with pytest.raises(InvalidScope):
        server.decide(GRANT, "admin", loaded())
    assert server.decide(GRANT, None, loaded()) == Decision(("read", "write"))


def test_authlib_logs_no_token(caplog: pytest.LogCaptureFixture) -> None:
    """LOG-02: what Authlib logs at DEBUG is a decision, never a token or a secret."""
    with caplog.at_level(logging.DEBUG):
        DecisionServer().decide(GRANT, "read", loaded())
    assert "access_token" not in caplog.text
    assert "eyJ" not in caplog.text


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_transport_is_not_authlibs_to_judge(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """META-08: Authlib's own switch changes nothing; https is demanded of the issuer when the server starts."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", value)
    assert DecisionServer().decide(GRANT, "read", loaded()) == Decision(("read",))
