"""Introspection under pressure: token scanning (INT-09), and a database that does not answer (INT-10)."""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.expectations import assert_not_logged, assert_refused, assert_unavailable, events
from tests.server import RunningServer, start_server

MISSES = 5
GRACE_SECONDS = 1

#: Where SQLite keeps its eight WAL locks in the -shm file (SQLite's os_unix.c, UNIX_SHM_BASE).
SHM_LOCKS_AT = 120
SHM_LOCKS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Yield a server that forgives few misses, and believes old knowledge for a second only."""
    with start_server(
        tmp_path_factory.mktemp("server"),
        AUTHSERVER_LOG_LEVEL="debug",
        AUTHSERVER_INTROSPECTION_MISSES_PER_MINUTE=str(MISSES),
        AUTHSERVER_REVOCATION_GRACE_SECONDS=str(GRACE_SECONDS),
    ) as running:
        yield running


@contextmanager
def database_hung(server: RunningServer) -> Iterator[None]:
    """Keep every reader and writer of the database waiting: all of SQLite's WAL locks are held by this process."""
    with Path(f"{server.data_dir}/authserver.db-shm").open("r+b") as shm:
        fcntl.lockf(shm, fcntl.LOCK_EX, SHM_LOCKS, SHM_LOCKS_AT)
        try:
            yield
        finally:
            fcntl.lockf(shm, fcntl.LOCK_UN, SHM_LOCKS, SHM_LOCKS_AT)


@contextmanager
def written_by_another(server: RunningServer) -> Iterator[None]:
    """Hold the write lock of the database, as a long transaction of another process does."""
    connection = sqlite3.connect(server.data_dir / "authserver.db", isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def until(seconds: float, server: RunningServer, token: str, client: dict[str, Any], status: int) -> None:
    """Introspect until the answer has this status; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while (response := server.introspect(token, client)).status != status:
        assert time.monotonic() < deadline, (response.status, response.body)
        time.sleep(0.05)


def test_int_09_token_scanning(server: RunningServer) -> None:
    """INT-09: past the limit of unknown tokens a caller gets 429 with Retry-After, and one alarm is raised."""
    scanner, honest = server.create_client(), server.create_client()
    good = server.token(honest)
    time.sleep(max(0, 61 - time.time() % 60) if time.time() % 60 > 57 else 0)  # the window is the minute
    guesses = [f"guess-{number}" for number in range(2 * MISSES)]
    statuses = [server.introspect(guess, scanner).status for guess in guesses]
    assert statuses == [200] * MISSES + [429] * MISSES
    refused = server.introspect(guesses[0], scanner)
    assert_refused(refused, 429, "temporarily_unavailable", *guesses)
    assert int(refused.headers["retry-after"]) > 0
    alarms = [event["client_id"] for event in events(server, "introspection.throttled")]
    assert alarms == [scanner["client_id"]]
    assert server.introspect(good, honest).json()["active"] is True
    assert_not_logged(server, *guesses)


def test_int_09_honest_callers_are_not_slowed(server: RunningServer) -> None:
    """INT-09: good, expired and revoked tokens of ours are no misses, however many."""
    client = server.create_client()
    revoked = server.token(client)
    server.revoke(revoked, client)
    for token in (server.token(client), revoked):
        assert {server.introspect(token, client).status for _ in range(3 * MISSES)} == {200}


def test_int_10_database_hangs(server: RunningServer) -> None:
    """INT-10: while revocations may be missed the answer is E503 at once, never `active: true`; then it is back."""
    client = server.create_client()
    good, revoked = server.token(client), server.token(client)
    assert server.revoke(revoked, client).status == 200
    with database_hung(server):
        until(GRACE_SECONDS + 5, server, good, client, 503)
        for token in (good, revoked):
            started = time.monotonic()
            assert_unavailable(server.introspect(token, client))
            assert time.monotonic() - started < 1
        ready = server.get("/health/ready")
        assert ready.status == 503
        assert "database" in ready.json()["reasons"][0]
        assert server.get("/health/live").status == 200
        assert server.token_response(client).status == 200
    until(15, server, good, client, 200)
    assert server.introspect(good, client).json()["active"] is True
    assert server.introspect(revoked, client).json() == {"active": False}


def test_int_10_admin_bearer_while_the_database_hangs(server: RunningServer) -> None:
    """INT-10: an access token at the management API is not believed either while revocations may be missed."""
    admin = server.create_client(scope="status:read", audiences=["urn:authserver:admin"])
    token = server.token(admin)
    assert server.admin("GET", "/status", token=token).status == 200
    with database_hung(server):
        until(GRACE_SECONDS + 5, server, token, admin, 503)
        assert server.admin("GET", "/status", token=token).status == 503
    until(15, server, token, admin, 200)
    assert server.admin("GET", "/status", token=token).status == 200


def test_rev_06_the_write_fails(server: RunningServer) -> None:
    """REV-06: a revocation that cannot be stored is E503 with Retry-After within the budget; the retry works."""
    client = server.create_client()
    token = server.token(client)
    with written_by_another(server):
        started = time.monotonic()
        response = server.revoke(token, client)
        assert time.monotonic() - started < 1.5
        assert_unavailable(response)
        assert server.introspect(token, client).status == 200  # reading goes on
    assert server.revoke(token, client).status == 200
    assert server.introspect(token, client).json() == {"active": False}


def test_rev_06_the_management_api_says_so_too(server: RunningServer) -> None:
    """REV-06: a watermark that cannot be stored is 503 with Retry-After, and refuses nothing afterwards."""
    client = server.create_client()
    token = server.token(client)
    body = {"kind": "client", "value": client["client_id"]}
    with written_by_another(server):
        response = server.admin("POST", "/revocations", body)
        assert response.status == 503
        assert int(response.headers["retry-after"]) > 0
    assert server.introspect(token, client).json()["active"] is True
    assert server.admin("POST", "/revocations", body).status == 201
    assert server.introspect(token, client).json() == {"active": False}


def test_rev_06_a_hanging_database(server: RunningServer) -> None:
    """REV-06: while the database hangs no revocation is answered 200; afterwards the retry works."""
    client = server.create_client()
    token = server.token(client)
    with database_hung(server):
        response = server.revoke(token, client)
        assert_unavailable(response)
    until(15, server, token, client, 200)
    assert server.revoke(token, client).status == 200
    assert server.introspect(token, client).json() == {"active": False}
