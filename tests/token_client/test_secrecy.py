"""No token and no secret where people look: reprs, logs, exceptions, pickles."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from base64 import b64encode
from urllib.parse import quote_plus

import httpx2
import pytest
import requests

from authserver.token_client import ClientCredentials, OriginNotAllowed, TokenError, TokenRefused, TokenUnavailable
from tests.redis_server import wait_for
from tests.token_client.scripted_server import SECRET, Reply, ScriptedServer, error_reply, token_reply, travel

CREDENTIALS = b64encode(f"billing:{quote_plus(SECRET)}".encode()).decode()
HIDDEN = [SECRET, quote_plus(SECRET), CREDENTIALS, "token-1", "token-2"]


def test_the_reprs_hide_token_and_secret(scripted: ScriptedServer) -> None:
    """They say whose credentials they are, and for which server."""
    credentials = scripted.credentials()
    token = credentials.token()
    text = f"{credentials!r} {credentials} {token!r} {token} {credentials._keeper._held!r} {credentials._keeper!r}"
    assert "billing" in text
    assert scripted.url in text
    assert not [hidden for hidden in HIDDEN if hidden in text]


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_logs_hide_token_and_secret(
    scripted: ScriptedServer, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """At DEBUG, for every logger: a fetch, a 401, a failing renewal, a refusal; and they do say what happens."""
    caplog.set_level(logging.DEBUG)
    credentials = scripted.credentials(auth_method=method)
    scripted.accept_only("token-2")
    with httpx2.Client(auth=credentials) as client:
        client.get(scripted.url)
    requests.get(scripted.url, auth=credentials, timeout=10)
    scripted.issue = lambda seen: error_reply("invalid_client", 401, error_description=f"got {seen.body!r}")
    travel(credentials, 3600 * 0.91)
    credentials.token()
    wait_for(lambda: "invalid_client" in caplog.text, "the warning")
    assert "the old one is kept" in caplog.text
    records = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert not [hidden for hidden in HIDDEN if hidden in records]


def echo(text: str) -> list[Reply]:
    """Return answers that repeat a text wherever they can."""
    return [
        error_reply("invalid_client", 401, error_description=text),
        error_reply(text),
        Reply(200, text.encode()),
        token_reply("token-1", token_type=text),
        token_reply("token-1\n"),
        token_reply("token-1", expires_in="token-1"),
        Reply(302, b"", {"Location": f"http://127.0.0.1/{quote_plus(text)}"}),
        Reply(503, text.encode(), {"Retry-After": quote_plus(text)}),
        Reply(200, b"{}", {"Content-Length": "99"}),
    ]


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_exceptions_hide_token_and_secret(scripted: ScriptedServer, method: str, number: int) -> None:
    """Text, attributes and traceback with local variables, for answers that repeat what they got."""
    scripted.issue = lambda seen: echo(seen.form.get("client_secret") or seen.headers["authorization"])[number]
    credentials = scripted.credentials(auth_method=method)
    with pytest.raises(TokenError) as caught:
        credentials.token()
    kept = credentials._keeper._held.error
    assert kept is not None
    assert kept.__traceback__ is None, "its frames know the secret"
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    frames = [frame.locals for frame in stack if "authserver/token_client" in frame.filename]
    text = f"{error!r} {error} {vars(error)} {frames}"
    assert frames
    assert not [hidden for hidden in HIDDEN if hidden in text]


def test_credentials_are_not_pickled_nor_copied(scripted: ScriptedServer) -> None:
    """A pickle would carry the secret, a copy would not share the token."""
    credentials = scripted.credentials()
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            copied(credentials)
    assert isinstance(credentials, ClientCredentials)


def test_errors_cross_processes() -> None:
    """A process pool hands on what its workers raise; an error that cannot be pickled would break the pool."""
    for error in (
        TokenRefused("no", error="invalid_scope", retry_after_seconds=4),
        TokenUnavailable("away", retry_after_seconds=4),
        OriginNotAllowed("elsewhere"),
    ):
        for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own
            assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))
