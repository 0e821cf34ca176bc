"""How the client authenticates, and where its secret comes from (RFC 6749 §2.3.1)."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

from authserver.token_client import TokenRefused, TokenUnavailable
from tests.token_client.scripted_server import Reply, ScriptedServer, Seen, error_reply, travel

AWKWARD = 'a:b c%+&=é€/\\"'


def basic(seen: Seen) -> tuple[str, str]:
    """Return the Basic credentials of a request, form-decoded."""
    scheme, _, text = seen.headers["authorization"].partition(" ")
    assert scheme == "Basic"
    user, _, password = b64decode(text).decode().partition(":")
    return unquote_plus(user), unquote_plus(password)


def accepting(scripted: ScriptedServer, secret: str) -> Callable[[Seen], Reply]:
    """Return a token endpoint that knows this secret."""
    refusal = error_reply("invalid_client", 401)
    return lambda seen: scripted.next_token() if basic(seen)[1] == secret else refusal


def test_basic_credentials_are_form_encoded(scripted: ScriptedServer) -> None:
    """Id and secret with every kind of character arrive as they are, and not in the body."""
    scripted.credentials(client_id="bill:ing +é", client_secret=AWKWARD, scope="read write", resource="urn:a&b").token()
    (seen,) = scripted.token_requests
    assert basic(seen) == ("bill:ing +é", AWKWARD)
    assert seen.method == "POST"
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    assert seen.form == {"grant_type": "client_credentials", "scope": "read write", "resource": "urn:a&b"}


def test_post_credentials_stand_in_the_body(scripted: ScriptedServer) -> None:
    """And not in a header: two methods at once are refused by servers (RFC 6749 §2.3)."""
    scripted.credentials(client_secret=AWKWARD, auth_method="client_secret_post").token()
    (seen,) = scripted.token_requests
    assert "authorization" not in seen.headers
    assert seen.form == {"grant_type": "client_credentials", "client_id": "billing", "client_secret": AWKWARD}


def test_a_secret_in_a_file_is_read_again_when_it_is_refused(scripted: ScriptedServer, tmp_path: Path) -> None:
    """The file changes between reading and answer: the same call tries the new secret and succeeds."""
    file = tmp_path / "secret"
    file.write_text("old\n")
    accept_new = accepting(scripted, "new")

    def issue(seen: Seen) -> Reply:
        file.write_text("new\n")
        return accept_new(seen)

    scripted.issue = issue
    assert scripted.credentials(client_secret=file).token().access_token == "token-1"
    assert [basic(seen)[1] for seen in scripted.token_requests] == ["old", "new"]


def test_a_rotated_file_serves_the_next_renewal(scripted: ScriptedServer, tmp_path: Path) -> None:
    """No restart: the renewal reads the file."""
    file = tmp_path / "secret"
    file.write_text("old")
    credentials = scripted.credentials(client_secret=file)
    credentials.token()
    file.write_text("new\r\n")
    travel(credentials, 3600)
    credentials.token()
    assert [basic(seen)[1] for seen in scripted.token_requests] == ["old", "new"]


def test_a_function_returns_the_secret_of_the_moment(scripted: ScriptedServer) -> None:
    """It is asked again on `invalid_client`."""
    secrets = iter(["old", "new", "newer"])
    scripted.issue = accepting(scripted, "new")
    assert scripted.credentials(client_secret=lambda: next(secrets)).token().access_token == "token-1"


def test_a_secret_that_stays_the_same_is_not_tried_twice(scripted: ScriptedServer, tmp_path: Path) -> None:
    """A wrong secret costs one request, whatever its source; other errors do not even read it again."""
    file = tmp_path / "secret"
    file.write_text("wrong")
    scripted.issue = lambda _: error_reply("invalid_client", 401)
    secrets: list[Any] = ["wrong", file, lambda: "wrong"]
    for secret in secrets:
        with pytest.raises(TokenRefused):
            scripted.credentials(client_secret=secret).token()
    assert len(scripted.token_requests) == len(secrets)
    turns = iter(["first", "second"])
    scripted.issue = lambda _: error_reply("invalid_scope")
    with pytest.raises(TokenRefused, match="invalid_scope"):
        scripted.credentials(client_secret=lambda: next(turns)).token()
    assert next(turns) == "second"
    assert len(scripted.token_requests) == len(secrets) + 1


def raising() -> str:
    """Fail as a function of the caller may."""
    raise RuntimeError("the vault said s3cret")


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff", b"x" * 5000])
def test_a_file_without_a_secret_is_an_outage(scripted: ScriptedServer, tmp_path: Path, content: bytes | None) -> None:
    """It may be there in a moment: TokenUnavailable, which names the file, and no request."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TokenUnavailable, match=f"client secret.*{re.escape(str(file))}"):
        scripted.credentials(client_secret=file).token()
    assert scripted.seen == []


@pytest.mark.parametrize("function", [raising, lambda: None, lambda: b"bytes", lambda: "", lambda: "\udcff"])
def test_a_function_without_a_secret_is_an_outage(scripted: ScriptedServer, function: Any) -> None:
    """What it raised may hold anything, so its text is not repeated."""
    with pytest.raises(TokenUnavailable, match="client secret") as caught:
        scripted.credentials(client_secret=function).token()
    assert "s3cret" not in str(caught.value)
