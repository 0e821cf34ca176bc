"""The command line beside a running server: what it changes is obeyed there by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.cli.command import CommandLine
from tests.server import API, RunningServer, claims_of, header_of

OBEYED_SECONDS = 3.0  # a second is promised; a loaded machine gets two more


@pytest.fixture
def cli(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return the command line on the data directory of the running server."""
    monkeypatch.setenv("AUTHSERVER_DATA_DIR", str(server.data_dir))
    return CommandLine()


def _soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + OBEYED_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_new_client_gets_tokens_at_once(cli: CommandLine, server: RunningServer) -> None:
    """What the command line creates is known to the server by the next request."""
    cli.run("resources", "create", "--identifier", API)
    client = cli.json("clients", "create", "--name", "n", "--scope", "read", "--audience", API)
    assert claims_of(server.token(client))["scope"] == "read"


def test_a_disabled_client_loses_its_tokens(cli: CommandLine, server: RunningServer) -> None:
    """Disabling refuses new tokens and ends those that were issued."""
    client, other = server.create_client(), server.create_client()
    server.create_resource("urn:watched", resource_servers=[other["client_id"]])
    cli.json("clients", "update", client["client_id"], "--audience", "urn:watched")
    assert _soon(lambda: server.token_response(client, resource="urn:watched").status == 200)
    token = server.token(client, resource="urn:watched")
    assert server.introspect(token, other).json()["active"] is True
    cli.json("clients", "disable", client["client_id"])
    assert _soon(lambda: server.introspect(token, other).json() == {"active": False})
    assert server.token_response(client).status == 401


def test_a_revocation_refuses_what_was_issued_and_nothing_later(cli: CommandLine, server: RunningServer) -> None:
    """`tokens revoke --client` ends the tokens of now; the client goes on."""
    client = server.create_client()
    token = server.token(client)
    cli.json("tokens", "revoke", "--client", client["client_id"])
    assert _soon(lambda: server.introspect(token, client).json() == {"active": False})
    assert server.introspect(server.token(client), client).json()["active"] is True


def test_a_claims_template_is_in_the_next_tokens(cli: CommandLine, server: RunningServer) -> None:
    """`claims set` adds claims without a restart, `claims remove` takes them away."""
    client = server.create_client(trusted_metadata={"user": "user-7"})
    cli.json("claims", "set", "-", stdin='{"user_id": {{ client.trusted_metadata.user }} }')
    assert _soon(lambda: claims_of(server.token(client)).get("user_id") == "user-7")
    cli.text("claims", "remove")
    assert _soon(lambda: "user_id" not in claims_of(server.token(client)))


def test_a_withdrawn_key_signs_no_more(cli: CommandLine, server: RunningServer) -> None:
    """`keys revoke` ends the key's tokens, and takes it out of the JWKS."""
    client = server.create_client()
    token = server.token(client)
    kid = header_of(token)["kid"]
    cli.json("keys", "revoke", kid)
    assert _soon(lambda: server.introspect(token, client).json() == {"active": False})
    assert _soon(lambda: kid not in server.get("/.well-known/jwks.json").body.decode())
    assert header_of(server.token(client))["kid"] != kid


def test_export_names_the_issuer_that_is_served(cli: CommandLine, server: RunningServer) -> None:
    """The command line is not told the port: it knows the issuer that was served last."""
    cli.json("resources", "create", "--identifier", "urn:exported")
    exported = cli.json("resources", "export", "urn:exported")
    assert exported["issuer"] == server.url
    assert server.get(exported["jwks_uri"].removeprefix(server.url)).status == 200


def test_the_doctor_finds_nothing_wrong(cli: CommandLine, server: RunningServer) -> None:
    """A healthy server has only findings that are ok, its reachability among them."""
    report = cli.json("doctor")
    assert report["ok"] is True
    assert {finding["level"] for finding in report["findings"]} == {"ok"}
    checks = {finding["check"] for finding in report["findings"]}
    assert checks == {"settings", "data directory", "database", "migrations", "keys", "clock", "reachability"}
    assert server.url in cli.text("doctor")


def test_the_doctor_notices_another_issuer(
    cli: CommandLine, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What answers at our issuer's address must be our issuer (RFC 8414 §3.3)."""
    monkeypatch.setenv("AUTHSERVER_ISSUER", server.url.replace("127.0.0.1", "localhost"))
    result = cli.run("doctor")
    assert result.exit_code == 1
    assert "another issuer" in result.stdout
