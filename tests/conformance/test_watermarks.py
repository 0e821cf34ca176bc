"""Watermarks: everything of a client, credential, workspace, subject, key, or all, issued up to a moment (REV-13)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from authserver.administration.actor import Actor
from authserver.app.runtime import Runtime
from authserver.core.revocation import RevocationKind
from tests.conformance.forge import from_another_process
from tests.server import RunningServer, claims_of, header_of

RS_API = "https://rs256.example.com"
EFFECTIVE_SECONDS = 1.0
COMMAND_LINE = Actor(name="test")

Client = dict[str, Any]


@dataclass(frozen=True)
class Live:
    """Good tokens by name, each with the client that may introspect it."""

    tokens: dict[str, tuple[str, Client]]

    def active(self, server: RunningServer) -> set[str]:
        """Return the names of those that are still active."""
        return {
            name for name, (token, client) in self.tokens.items() if server.introspect(token, client).json()["active"]
        }


@pytest.fixture(scope="module")
def clients(server: RunningServer) -> tuple[Client, Client]:
    """Create two clients, the first of which may also name a resource with keys of another algorithm."""
    server.create_resource(RS_API, signing_alg="RS256")
    return server.create_client(audiences=["https://api.example.com", RS_API]), server.create_client()


@pytest.fixture
def live(server: RunningServer, clients: tuple[Client, Client]) -> Live:
    """Issue: two credentials of the first client, another key's token of it, and one token of the second client."""
    first, second = clients
    path = f"/clients/{first['client_id']}/secrets"
    rotated = server.admin("POST", path)
    assert rotated.status == 201, rotated.body
    also_first = {**first, "client_secret": rotated.json()["client_secret"]}
    tokens = {
        "first": (server.token(first), first),
        "next secret": (server.token(also_first), first),
        "rs256": (server.token(first, resource=RS_API), first),
        "second": (server.token(second), second),
    }
    assert server.admin("POST", f"{path}/cancel").status == 200
    assert Live(tokens).active(server) == set(tokens)
    return Live(tokens)


#: What is revoked (by kind, and the value as it stands in the token named), and which tokens stay.
ROWS: list[tuple[str, Callable[[str], str | None], set[str]]] = [
    ("jti", lambda token: claims_of(token)["jti"], {"next secret", "rs256", "second"}),
    ("client", lambda token: claims_of(token)["client_id"], {"second"}),
    ("credential", lambda token: claims_of(token)["credential_id"], {"next secret", "second"}),
    ("subject", lambda token: claims_of(token)["sub"], {"second"}),
    ("kid", lambda token: header_of(token)["kid"], {"rs256"}),
    ("workspace", lambda token: claims_of(token)["workspace_id"], set()),
    ("all", lambda _: None, set()),
]


@pytest.mark.parametrize(("kind", "value_in", "survivors"), ROWS, ids=[row[0] for row in ROWS])
def test_each_kind_refuses_exactly_its_own(
    server: RunningServer, live: Live, kind: str, value_in: Callable[[str], str | None], survivors: set[str]
) -> None:
    """REV-13: each kind refuses all that carries its value and nothing else; tokens issued right after are good."""
    value = value_in(live.tokens["first"][0])
    body = {"kind": kind} if value is None else {"kind": kind, "value": value}
    response = server.admin("POST", "/revocations", body)
    assert response.status == 201, response.body
    fresh = Live({name: (server.token(client), client) for name, (_, client) in live.tokens.items()})
    assert live.active(server) == survivors
    assert fresh.active(server) == set(fresh.tokens)
    entry = response.json()
    assert (entry["kind"], entry["value"], entry["actor"]) == (kind, value or "*", "admin-token")
    assert abs(entry["revoked_at_ms"] / 1000 - time.time()) < 60


@pytest.mark.parametrize(("kind", "value_in", "survivors"), ROWS, ids=[row[0] for row in ROWS])
def test_another_process_revokes(
    server: RunningServer, live: Live, kind: str, value_in: Callable[[str], str | None], survivors: set[str]
) -> None:
    """ROT-04, REV-13: what another process writes to the database is obeyed here within a second, and no more."""
    value = value_in(live.tokens["first"][0])

    async def revoke(runtime: Runtime) -> float:
        await runtime.administration.revocations.add(COMMAND_LINE, RevocationKind(kind), value)
        return time.monotonic()

    written_at = from_another_process(server, revoke)
    while live.active(server) != survivors:
        assert time.monotonic() - written_at < EFFECTIVE_SECONDS, live.active(server)
    first = live.tokens["first"][1]
    assert server.introspect(server.token(first), first).json()["active"] is True


def test_the_command_line_revokes(server: RunningServer, live: Live) -> None:
    """REV-13: `authserver tokens revoke --client` beside the running server works within a second of its exit."""
    token, client = live.tokens["second"]
    done = server.cli("tokens", "revoke", "--client", client["client_id"], "--json")
    finished = time.monotonic()
    assert done.returncode == 0, done.stderr
    while server.introspect(token, client).json()["active"]:
        assert time.monotonic() - finished < EFFECTIVE_SECONDS
    assert live.active(server) == {"first", "next secret", "rs256"}
    assert server.introspect(server.token(client), client).json()["active"] is True


def test_revocations_add_up(server: RunningServer, live: Live) -> None:
    """REV-13: a later watermark of the same client never lets an older token live again."""
    token, client = live.tokens["second"]
    for _ in range(3):
        assert server.admin("POST", "/revocations", {"kind": "client", "value": client["client_id"]}).status == 201
        assert server.introspect(token, client).json() == {"active": False}
        token = server.token(client)
        assert server.introspect(token, client).json()["active"] is True


def test_an_emergency_removal_of_a_secret(server: RunningServer) -> None:
    """REV-13: removing one secret ends the tokens that it got, and those of the other secret live on."""
    client = server.create_client()
    old = server.token(client)
    path = f"/clients/{client['client_id']}/secrets"
    rotated = server.admin("POST", path).json()
    new = server.token({**client, "client_secret": rotated["client_secret"]})
    assert server.admin("DELETE", f"{path}/{claims_of(old)['credential_id']}").status == 204
    client = {**client, "client_secret": rotated["client_secret"]}
    assert server.introspect(old, client).json() == {"active": False}
    assert server.introspect(new, client).json()["active"] is True


@pytest.mark.parametrize("value", ["", "no-such-client", "Default"])
def test_what_names_nothing_refuses_nothing(server: RunningServer, live: Live, value: str) -> None:
    """REV-13: a value that names nothing is refused, or accepted without any effect on others."""
    response = server.admin("POST", "/revocations", {"kind": "client", "value": value})
    assert response.status == (422 if value == "" else 201)
    assert live.active(server) == set(live.tokens)


def test_only_who_may_revoke(server: RunningServer, live: Live) -> None:
    """REV-13: an access token without revocations:write sets no watermark: 403, and nothing changes."""
    reader = server.create_client(scope="revocations:read", audiences=["urn:authserver:admin"])
    token = server.token(reader)
    assert server.admin("POST", "/revocations", {"kind": "all"}, token=token).status == 403
    assert server.admin("GET", "/revocations", token=token).status == 200
    assert live.active(server) == set(live.tokens)
