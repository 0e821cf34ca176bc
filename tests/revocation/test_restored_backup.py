"""A database that comes back from a backup: what was revoked since is unknown, and one command refuses it all."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import redis_server
from tests.faults.databases import DATABASES, POSTGRESQL, FaultDatabase, SqliteDatabase, open_fault_database
from tests.faults.databases import PostgresqlDatabase as Postgresql
from tests.redis_server import start_redis, wait_for
from tests.server import API, RunningServer, basic, credentials, start_server

#: How many revocations the backup does not know: more than are made afterwards.
LOST = 20

pytestmark = pytest.mark.skipif(redis_server.unavailable() is not None, reason=str(redis_server.unavailable()))


def back_up(database: FaultDatabase) -> Callable[[], None]:
    """Copy a database; return what puts the copy in its place."""
    if isinstance(database, SqliteDatabase):
        return _back_up_file(database)
    assert isinstance(database, Postgresql)
    return _back_up_server(database)


def _back_up_file(database: SqliteDatabase) -> Callable[[], None]:
    copy = database.path.with_suffix(".backup")
    with contextlib.closing(sqlite3.connect(database.path)) as present, contextlib.closing(sqlite3.connect(copy)) as to:
        present.backup(to)

    def restore() -> None:
        for suffix in ("-wal", "-shm"):
            database.path.with_name(database.path.name + suffix).unlink(missing_ok=True)
        copy.replace(database.path)

    return restore


def _back_up_server(database: Postgresql) -> Callable[[], None]:
    server, name = database.server, database.name
    server.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    server.sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608 - ours
    copy = server.create_database(template=name)
    server.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def restore() -> None:
        server.drop_database(name)
        server.sql(f"CREATE DATABASE {name} TEMPLATE {copy}")

    return restore


def revoke_everything(server: RunningServer) -> None:
    """Do what the page on operations says."""
    done = server.cli("tokens", "revoke", "--all", "--yes")
    assert done.returncode == 0, done.stderr


def revoked_tokens(server: RunningServer, client: Mapping[str, Any]) -> list[str]:
    """Return tokens whose revocation was acknowledged; a database that was away a moment ago is waited for."""
    tokens = [server.token(client) for _ in range(LOST)]
    for token in tokens:
        wait_for(lambda token=token: server.revoke(token, client).status == 200, "an acknowledgement")  # type: ignore[misc]
    return tokens


def is_active(server: RunningServer, token: str, client: Mapping[str, Any]) -> bool:
    """Introspect a token."""
    return bool(server.introspect(token, client).json()["active"])


@pytest.mark.parametrize("kind", DATABASES)
def test_restored_while_nobody_serves(tmp_path: Path, kind: str) -> None:
    """DB-07: after `tokens revoke --all` no token from before is active, whatever Redis shows; later ones are."""
    with open_fault_database(kind, tmp_path) as database, start_redis() as redis:
        settings: dict[str, Any] = {"AUTHSERVER_REDIS_URL": redis.url, **database.settings()}
        with start_server(tmp_path, **settings) as server:
            client = server.create_client()
            server.create_resource(API, resource_servers=[client["client_id"]])
            live = server.token(client)
            revoked_tokens(server, client)
            restore = back_up(database)
            lost = revoked_tokens(server, client)
            cursor = feed(server, client)["cursor"]
        restore()
        revoke_everything(server)
        with start_server(tmp_path, port=server.port, **settings) as server:
            assert not any(is_active(server, token, client) for token in [*lost, live])
            token = server.token(client)
            assert is_active(server, token, client)
            assert server.revoke(token, client).status == 200
            assert not is_active(server, token, client)
            revoked_tokens(server, client)  # the order of revocations is past the reader's place, by another way
            answer = feed(server, client, f"?after={cursor}")
            assert answer["snapshot"] is True
            assert "all" in {entry["kind"] for entry in answer["entries"]}


@pytest.mark.parametrize("kind", [one for one in DATABASES if one.values == (POSTGRESQL,)])
def test_restored_beneath_a_server_that_runs(tmp_path: Path, kind: str) -> None:
    """DB-07: a server that knows more than its database still hears of what is revoked from then on."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(open_fault_database(kind, tmp_path))
        settings: dict[str, Any] = {
            "AUTHSERVER_REDIS_URL": stack.enter_context(start_redis()).url,
            **database.settings(),
        }
        server = stack.enter_context(start_server(tmp_path, **settings))
        client = server.create_client()
        server.create_resource(API, resource_servers=[client["client_id"]])
        live = server.token(client)
        restore = back_up(database)
        lost = revoked_tokens(server, client)
        cursor = feed(server, client)["cursor"]
        restore()
        revoke_everything(server)
        wait_for(lambda: server.introspect(live, client).json() == {"active": False}, "the watermark to be known")
        assert not any(is_active(server, token, client) for token in lost)
        assert is_active(server, server.token(client), client)
        assert feed(server, client, f"?after={cursor}")["snapshot"] is True


def feed(server: RunningServer, client: Mapping[str, Any], query: str = "") -> Any:
    """Read the revocation feed."""
    response = server.get(f"/oauth2/revocations{query}", {"Authorization": basic(*credentials(client))})
    assert response.status == 200, response.body
    return response.json()
