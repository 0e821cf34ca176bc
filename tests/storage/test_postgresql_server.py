"""Servers on PostgreSQL: one from start to restart, and two on one database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.postgresql import PostgresqlServer
from tests.server import RunningServer, claims_of, free_port, start_server

IN_FORCE_SECONDS = 1.0


Start = Callable[[Path], AbstractContextManager[RunningServer]]


@pytest.fixture
def start(postgresql: PostgresqlServer) -> Iterator[Start]:
    """Yield what starts an instance in a directory of its own; all share one database, empty at first."""
    name = postgresql.create_database()
    yield partial(
        start_server,
        AUTHSERVER_DATABASE_URL=postgresql.url(name),
        AUTHSERVER_SECRET_KEY="k" * 43,
        AUTHSERVER_ISSUER=f"http://127.0.0.1:{free_port()}",
    )
    postgresql.drop_database(name)


@pytest.fixture
def pair(start: Start, tmp_path: Path) -> Iterator[tuple[RunningServer, RunningServer]]:
    """Yield two instances on one database, each with a directory of its own."""
    with ExitStack() as running:
        servers = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            servers.append(running.enter_context(start(tmp_path / name)))
        yield servers[0], servers[1]


def test_a_server_keeps_everything_in_postgresql(start: Start, tmp_path: Path) -> None:
    """Token, introspection, revocation, command line, doctor, restart; no SQLite file is made."""
    with start(tmp_path) as server:
        client = server.create_client()
        kept, revoked = server.token(client), server.token(client)
        assert server.introspect(revoked, client).json()["active"]
        assert server.revoke(revoked, client).status == 200
        assert client["client_id"] in server.cli("clients", "list").stdout
        found = json.loads(server.cli("doctor", "--json").stdout)["findings"]
        levels = {finding["check"]: finding["level"] for finding in found}
        assert {levels[check] for check in ("database", "migrations", "keys", "clock")} == {"ok"}
    with start(tmp_path) as server:
        assert server.introspect(kept, client).json()["active"]
        assert not server.introspect(revoked, client).json()["active"]
    assert not list(tmp_path.glob("*.db"))


def test_what_one_instance_changes_is_in_force_on_the_other(pair: tuple[RunningServer, RunningServer]) -> None:
    """P1: a revocation, a new template, a rotated key and a disabled client, each within a second."""
    here, there = pair
    client = here.create_client(trusted_metadata={"user": "u-1"})
    token = here.token(client)
    assert there.introspect(token, client).json()["active"]

    here.revoke(token, client)
    _within_a_second(lambda: not there.introspect(token, client).json()["active"])

    here.admin("PUT", "/claims-template", {"template": '{"user_id": {{ client.trusted_metadata.user }}}'})
    _within_a_second(lambda: claims_of(there.token(client)).get("user_id") == "u-1")

    assert here.admin("PATCH", f"/clients/{client['client_id']}", {"status": "disabled"}).status == 200
    _within_a_second(lambda: there.token_response(client).status == 401)


def test_instances_on_one_database_share_their_keys(pair: tuple[RunningServer, RunningServer]) -> None:
    """The second one publishes the first one's key instead of making its own."""
    here, there = pair
    _within_a_second(lambda: here.get("/.well-known/jwks.json").json() == there.get("/.well-known/jwks.json").json())


def test_a_server_outlives_its_database(postgresql: PostgresqlServer, start: Start, tmp_path: Path) -> None:
    """P3: while it is away a revocation is a 503 and tokens are issued; two seconds after it is back all is well."""
    with start(tmp_path) as server:
        client = server.create_client()
        token = server.token(client)
        postgresql.kill()
        try:
            refused = server.revoke(token, client)
            assert (refused.status, refused.json()["error"]) == (503, "temporarily_unavailable")
            assert server.token_response(client).status == 200
        finally:
            postgresql.start()
        started = time.monotonic()
        while server.revoke(token, client).status != 200:
            assert time.monotonic() - started < 2
        assert not server.introspect(token, client).json()["active"]
        assert postgresql.password not in server.log()


def _within_a_second(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + IN_FORCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "not in force within a second"
        time.sleep(0.02)
