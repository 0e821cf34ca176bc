"""Starting: nothing listens on unsafe settings, all that is wrong is said at once, and a restart keeps everything."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.server import (
    AUTHSERVER,
    claims_of,
    free_port,
    start_from_nothing,
    start_server,
)

KEY = "0123456789-abcdefghijklmnopqrstuvwxyz"
ADMIN = "admin-token-0123456789-abcdefghijklmnop"
PRODUCTION = {"AUTHSERVER_ISSUER": "https://as.example", "AUTHSERVER_SECRET_KEY": KEY, "AUTHSERVER_ADMIN_TOKEN": ADMIN}
LOOPBACK = ("--host", "127.0.0.1")


def refused_start(data_dir: Path, settings: Mapping[str, str], *arguments: str) -> list[str]:
    """Start a server that must not start; return the lines on stderr after seeing that it ended with 1."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSERVER_")}
    ended = subprocess.run(
        [AUTHSERVER, "serve", *arguments],
        env={**environment, "AUTHSERVER_DATA_DIR": str(data_dir), **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1, ended
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert KEY not in ended.stderr
    return ended.stderr.strip().splitlines()


def test_all_problems_together(tmp_path: Path) -> None:
    """META-08: everything that is missing or unsafe is in one message, and nothing was listened on or written."""
    lines = refused_start(
        tmp_path / "data",
        {
            "AUTHSERVER_ISUER": "https://as.example",
            "AUTHSERVER_ADMIN_TOKEN": "short",
            "AUTHSERVER_LEEWAY_SECONDS": "x",
            "AUTHLIB_INSECURE_TRANSPORT": "0",
        },
        *("--port", str(free_port())),
    )
    text = "\n".join(lines)
    for name in ("ISUER is no", "ISSUER is missing", "SECRET_KEY is missing", "ADMIN_TOKEN needs", "LEEWAY_SECONDS:"):
        assert f"AUTHSERVER_{name}" in text
    assert "AUTHLIB_INSECURE_TRANSPORT is set" in text
    assert len(lines) == 6
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"AUTHSERVER_ISSUER": "http://as.example"}, "AUTHSERVER_ISSUER must be an https URL"),
        ({"AUTHLIB_INSECURE_TRANSPORT": "0"}, "AUTHLIB_INSECURE_TRANSPORT is set"),
        ({"AUTHSERVER_DATABASE_URL": "mysql://u:canary@db/x"}, "AUTHSERVER_DATABASE_URL: "),
        ({"AUTHSERVER_WORKERS": "4"}, "AUTHSERVER_WORKERS: "),
    ],
)
def test_unsafe_settings(tmp_path: Path, changes: dict[str, str], named: str) -> None:
    """META-08: an http issuer, a switched-off check, and what this version cannot do keep a server from starting."""
    (line,) = refused_start(tmp_path, {**PRODUCTION, **changes}, "--port", str(free_port()))
    assert named in line
    assert "canary" not in line


def test_port_in_use(tmp_path: Path) -> None:
    """A port that somebody else has is one line with exit code 1, with and without --dev."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for mode in ((), ("--dev",)):
            (line,) = refused_start(tmp_path, PRODUCTION, *mode, "--port", port)
            assert f"AUTHSERVER_PORT: cannot listen on 127.0.0.1:{port}" in line


def test_production(tmp_path: Path) -> None:
    """With an https issuer and a secret key a server starts, speaks for that issuer, and makes no secret of its own."""
    with start_from_nothing(tmp_path, *LOOPBACK, port=free_port(), **PRODUCTION) as server:
        created = server.admin("POST", "/clients", {"client_name": "n", "scope": "read"}, token=ADMIN)
        claims = claims_of(server.token(created.json()))
        assert claims["iss"] == claims["aud"] == "https://as.example"
        document = server.get("/.well-known/oauth-authorization-server").json()
        assert document["token_endpoint"] == "https://as.example/oauth2/token"
    assert not {"secret-key", "admin-token"} & {path.name for path in tmp_path.iterdir()}
    assert all(json.loads(line)["event"] for line in server.log_file.read_text().splitlines())


def test_secrets_from_files(tmp_path: Path) -> None:
    """Secrets may come from files; without an admin token nobody is let in by one."""
    (tmp_path / "key").write_text(KEY + "\n")
    settings = {"AUTHSERVER_ISSUER": "https://as.example", "AUTHSERVER_SECRET_KEY_FILE": str(tmp_path / "key")}
    with start_server(tmp_path, *LOOPBACK, port=free_port(), **settings) as server:
        for token in (ADMIN, " ", "None"):
            assert server.admin("GET", "/status", token=token).status == 401


def test_another_issuer_than_before(tmp_path: Path) -> None:
    """A second server on the same data, at another port, is another issuer to all that was exported: it says so."""
    with start_server(tmp_path) as first:
        before = first.port
    other = free_port()
    for port in (other, before, before):
        with start_server(tmp_path, port=port) as server:
            lines = [json.loads(line) for line in server.log().splitlines() if "issuer.changed" in line]
    assert [(line["before"], line["now"]) for line in lines] == [
        (f"http://127.0.0.1:{before}", f"http://127.0.0.1:{other}"),
        (f"http://127.0.0.1:{other}", f"http://127.0.0.1:{before}"),
    ]


def test_open_files(tmp_path: Path) -> None:
    """HTTP-03: a server raises the usual limit of open files itself, so that it can hold its connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with start_server(tmp_path, AUTHSERVER_MAX_CONNECTIONS="2000") as server:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            with contextlib.ExitStack() as stack:
                for _ in range(600):
                    stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                assert server.get("/health/ready").status == 200
            assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[0] == min(2100, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    """What --dev makes can be read by its owner alone, the database and its write-ahead log included."""
    with start_from_nothing(tmp_path) as server:
        server.create_client()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.suffix != ".log"}
    assert {"secret-key", "admin-token", "authserver.db", "authserver.db-wal"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_restart_keeps_everything(tmp_path: Path) -> None:
    """After a restart the same clients, keys and admin token work, and what was revoked stays so."""
    port = free_port()
    with start_from_nothing(tmp_path, port=port) as server:
        client = server.create_client()
        kept, revoked = server.token(client), server.token(client)
        assert server.revoke(revoked, client).status == 200
    with start_server(tmp_path, port=port) as server:
        assert server.introspect(kept, client).json()["active"] is True
        assert server.introspect(revoked, client).json() == {"active": False}
        assert server.admin("GET", "/status").status == 200


def test_replaced_admin_token(tmp_path: Path) -> None:
    """Whoever replaces the file of the admin token has a new one from the next start on, and the old one is refused."""
    with start_server(tmp_path) as server:
        old = server.admin_token
    (tmp_path / "admin-token").write_text(ADMIN + "\n")
    with start_server(tmp_path) as server:
        assert server.admin("GET", "/status").status == 200
        assert server.admin("GET", "/status", token=old).status == 401


def test_wrong_secret_key(tmp_path: Path) -> None:
    """A database sealed under another key is one line that says so; the old key behind a new one opens it."""
    with start_server(tmp_path, *LOOPBACK, port=free_port(), **PRODUCTION):
        pass
    other = {**PRODUCTION, "AUTHSERVER_SECRET_KEY": "z" + KEY}
    (line,) = refused_start(tmp_path, other, *LOOPBACK, "--port", str(free_port()))
    assert "AUTHSERVER_SECRET_KEY" in line
    assert "decrypted" in line
    with start_server(
        tmp_path, *LOOPBACK, port=free_port(), **{**other, "AUTHSERVER_SECRET_KEY": f"z{KEY},{KEY}"}
    ) as server:
        assert server.get("/health/ready").status == 200
