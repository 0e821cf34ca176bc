"""The life of a process: it says when it is about to stop, takes new secrets, and stays alive without its database."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgresql
from tests.redis_server import wait_for
from tests.server import RunningServer, basic, credentials, free_port, start_server

KEY, NEW_KEY = "k" * 40, "n" * 40
TOKEN, NEW_TOKEN = "t" * 40, "u" * 40
PRODUCTION = {"AUTHSERVER_ISSUER": "https://as.example"}
LOOPBACK = ("--host", "127.0.0.1")
NO_DELAY = {"AUTHSERVER_SHUTDOWN_DELAY_SECONDS": "0"}


def events(server: RunningServer, name: str) -> list[dict[str, object]]:
    """Return the log lines of one event."""
    lines = [json.loads(line) for line in server.log_file.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def wait_for_events(server: RunningServer, name: str, count: int) -> list[dict[str, object]]:
    """Return the log lines of one event as soon as there are so many."""
    wait_for(lambda: len(events(server, name)) == count, name)
    return events(server, name)


@contextlib.contextmanager
def start_with_files(directory: Path) -> Iterator[RunningServer]:
    """Run a production server whose secrets are in the files `key` and `token`, made here when they are missing."""
    for name, content in (("key", KEY), ("token", TOKEN)):
        if not (directory / name).exists():
            (directory / name).write_text(content + "\n")
    files = {
        "AUTHSERVER_SECRET_KEY_FILE": str(directory / "key"),
        "AUTHSERVER_ADMIN_TOKEN_FILE": str(directory / "token"),
    }
    with start_server(directory, *LOOPBACK, port=free_port(), **PRODUCTION, **NO_DELAY, **files) as server:
        yield server


def status(server: RunningServer, token: str) -> int:
    """Return what the management API answers to an admin token."""
    return server.admin("GET", "/status", token=token).status


def test_draining(tmp_path: Path) -> None:
    """SIGTERM: not ready at once, with the reason; alive and serving until the delay is over; then exit 0."""
    with start_server(tmp_path, AUTHSERVER_SHUTDOWN_DELAY_SECONDS="2") as server:
        client = server.create_client()
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        ready = server.get("/health/ready")
        assert ready.status == 503
        assert "draining" in ready.json()["reasons"][0]
        assert server.get("/health/live").status == 200
        assert server.token_response(client).headers["connection"] == "close"
        assert server.process.wait(15) == 0
        assert 2 <= time.monotonic() - began < 10
    assert [line["delay_seconds"] for line in events(server, "server.stopping")] == [2]
    assert events(server, "server.stopped")


def test_connections_end_politely(tmp_path: Path) -> None:
    """A connection that was kept alive gets one more answer, which says that it is the last."""
    with start_server(tmp_path, AUTHSERVER_SHUTDOWN_DELAY_SECONDS="1") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/health/live")
            kept = connection.getresponse()
            kept.read()
            assert kept.getheader("connection") is None
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            connection.request("GET", "/health/live")
            last = connection.getresponse()
            last.read()
        assert (last.status, last.getheader("connection")) == (200, "close")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_second_signal(tmp_path: Path, second: signal.Signals) -> None:
    """A second signal ends the delay, not the requests at hand: exit 0 all the same."""
    with start_server(tmp_path, AUTHSERVER_SHUTDOWN_DELAY_SECONDS="60") as server:
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.get("/health/ready").status == 503, "the drain")
        assert server.process.poll() is None
        assert server.stop(second) == 0


def test_interrupt_does_not_delay(tmp_path: Path) -> None:
    """Ctrl-C stops without the delay: who presses it is no load balancer."""
    with start_server(tmp_path, AUTHSERVER_SHUTDOWN_DELAY_SECONDS="60") as server:
        assert server.stop(signal.SIGINT) == 0


def test_last_use_is_kept(tmp_path: Path) -> None:
    """What was only counted in memory is written before the end: a secret used a moment ago has its `last_used_at`."""
    with start_server(tmp_path) as server:
        client = server.create_client()
        server.token(client)
        assert server.stop() == 0
    with start_server(tmp_path, port=server.port) as again:
        (secret,) = again.admin("GET", f"/clients/{client['client_id']}").json()["secrets"]
        assert secret["last_used_at"]


def test_long_polls_end(tmp_path: Path) -> None:
    """Who waits for news of revocations gets an answer when the server closes, and does not hold it up."""
    with start_server(tmp_path) as server:
        client = server.create_client()
        server.create_resource("https://feed.example", resource_servers=[client["client_id"]])
        authorization = {"Authorization": basic(*credentials(client))}
        cursor = server.get("/oauth2/revocations", authorization).json()["cursor"]
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", f"/oauth2/revocations?after={cursor}&wait=30", headers=authorization)
            time.sleep(0.3)
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < 5
            answer = connection.getresponse()
            assert answer.status == 200
            assert json.loads(answer.read())["entries"] == []


@pytest.mark.parametrize("by_signal", [True, False])
def test_new_admin_token(tmp_path: Path, *, by_signal: bool) -> None:
    """A new admin token in the file holds soon after, at once after SIGHUP; the old one does not any more."""
    with start_with_files(tmp_path) as server:
        (tmp_path / "token").write_text(f"{NEW_TOKEN}\n")
        if by_signal:
            server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: status(server, NEW_TOKEN) == 200, "the new token", 1 if by_signal else 8)
        assert status(server, TOKEN) == 401
        (line,) = wait_for_events(server, "secrets.reloaded", 1)
        assert (line["admin_token"], line["secret_key"]) == (True, False)
        assert NEW_TOKEN not in server.log()


def test_new_secret_key(tmp_path: Path) -> None:
    """A new secret key seals what is made from then on; with the old one behind it nothing else changes."""
    with start_with_files(tmp_path) as server:
        client = server.admin("POST", "/clients", {"client_name": "n"}, token=TOKEN).json()
        token = server.token(client)
        (tmp_path / "key").write_text(f"{NEW_KEY},{KEY}\n")
        server.process.send_signal(signal.SIGHUP)
        wait_for_events(server, "secrets.reloaded", 1)
        assert server.introspect(token, client).json()["active"] is True
        for _ in range(2):  # both of the pair, the one that signs and the next one
            assert server.admin("POST", "/signing-keys/rotate", {"force": True}, token=TOKEN).status == 200
        assert server.introspect(server.token(client), client).json()["active"] is True
    (tmp_path / "key").write_text(NEW_KEY)  # whatever signs is sealed under the new one by now
    with start_with_files(tmp_path) as server:
        assert server.token(client)


def test_bad_new_secrets(tmp_path: Path) -> None:
    """A file that is gone, empty, short or of another server changes nothing, and is one error each time."""
    bad = [("key", NEW_KEY), ("key", "short"), ("key", ""), ("token", "short"), ("token", ""), ("token", None)]
    with start_with_files(tmp_path) as server:
        client = server.admin("POST", "/clients", {"client_name": "n"}, token=TOKEN).json()
        for number, (name, content) in enumerate(bad, start=1):
            good = (tmp_path / name).read_text()
            _replace(tmp_path / name, content)
            server.process.send_signal(signal.SIGHUP)
            wait_for_events(server, "secrets.refused", number)
            assert status(server, TOKEN) == 200
            assert server.token(client)
            _replace(tmp_path / name, good)
            server.process.send_signal(signal.SIGHUP)
            wait_for_events(server, "secrets.unchanged", number)
        reasons = [str(line["reason"]) for line in events(server, "secrets.refused")]
        wanted = ["SECRET_KEY"] * 3 + ["ADMIN_TOKEN"] * 3
        for reason, name in zip(reasons, wanted, strict=True):
            assert f"AUTHSERVER_{name}" in reason
        assert not any(secret in server.log() for secret in (KEY, NEW_KEY, TOKEN))


def _replace(path: Path, content: str | None) -> None:
    """Write a file, or remove it for None, in one step."""
    path.with_suffix(".new").write_text(content or "")
    path.with_suffix(".new").replace(path)
    if content is None:
        path.unlink()


def test_hangup_without_a_change(tmp_path: Path) -> None:
    """SIGHUP without a change says so and ends nothing."""
    with start_with_files(tmp_path) as server:
        server.process.send_signal(signal.SIGHUP)
        wait_for_events(server, "secrets.unchanged", 1)
        assert server.get("/health/ready").status == 200


def test_closed_terminal(tmp_path: Path) -> None:
    """With --dev SIGHUP is the end of the terminal, and of the server."""
    with start_server(tmp_path) as server:
        assert server.stop(signal.SIGHUP) == 0


@pytest.mark.skipif(postgresql.unavailable() is not None, reason=str(postgresql.unavailable()))
def test_lost_database(tmp_path: Path) -> None:
    """An instance whose database is gone stays alive, says in `/health/ready` why it is not ready, and comes back."""
    with postgresql.start_postgresql() as database:
        url = database.url(database.create_database())
        with start_server(tmp_path, AUTHSERVER_DATABASE_URL=url, AUTHSERVER_REVOCATION_GRACE_SECONDS="1") as server:
            client = server.create_client()
            server.token(client)
            database.kill()
            wait_for(lambda: server.get("/health/ready").status == 503, "the loss to be noticed")
            (reason,) = server.get("/health/ready").json()["reasons"]
            assert "the database has not answered for" in reason
            assert server.get("/health/live").status == 200
            assert server.token(client)
            database.start()
            wait_for(lambda: server.get("/health/ready").status == 200, "the return")
            assert server.stop() == 0


def test_delay_by_default(tmp_path: Path) -> None:
    """In production there is a delay without being asked for."""
    with start_server(tmp_path, *LOOPBACK, port=free_port(), **PRODUCTION, AUTHSERVER_SECRET_KEY=KEY) as server:
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.get("/health/ready").status == 503, "the drain")
        assert server.stop() == 0
    assert [line["delay_seconds"] for line in events(server, "server.stopping")] == [5]
