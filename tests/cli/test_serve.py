"""`authserver serve`: what it refuses, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from authserver.cli.welcome import command_line, welcome
from authserver.development import local_address
from authserver.settings import read_settings
from tests.cli.command import CommandLine
from tests.server import AUTHSERVER, free_port


@contextmanager
def _serving(*arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Run `serve` with these settings alone; whatever is left of it in the end is killed."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSERVER_")}
    command = [AUTHSERVER, "serve", *arguments]
    with subprocess.Popen(
        command, env=plain | settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _welcome_of(process: subprocess.Popen[str]) -> list[str]:
    """Return the lines of the welcome, which come once the port is open."""
    lines: list[str] = []
    for line in process.stdout or ():
        lines.append(line)
        if line.startswith("Stop with"):
            break
    return lines


def test_the_three_lines_of_the_welcome_work_as_they_are(tmp_path: Path) -> None:
    """A first start says where things are; its three lines, run by a shell, end with an active token; SIGTERM is 0."""
    port = str(free_port())
    with _serving("--dev", "--port", port, AUTHSERVER_DATA_DIR=str(tmp_path / "the data")) as process:
        said = _welcome_of(process)
        text = "".join(said)
        assert f"serves on http://127.0.0.1:{port}\n" in text
        assert (tmp_path / "the data" / "admin-token").read_text().strip()
        assert f"admin token lies in {tmp_path}/the data/admin-token\n" in text
        lines = [line for line in said if line.startswith("  ")]
        assert len(lines) == 3
        shell = subprocess.run(["sh", "-e"], input="".join(lines), capture_output=True, text=True, check=True)
        assert json.loads(shell.stdout)["active"] is True
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


def test_without_dev_everything_missing_or_unsafe_is_said_at_once(
    empty_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown and unreadable settings, missing ones, a wrong database and too many workers: one message, exit 1."""
    monkeypatch.setenv("AUTHSERVER_TYPO", "1")
    monkeypatch.setenv("AUTHSERVER_ACCESS_TOKEN_TTL", "an hour")
    monkeypatch.setenv("AUTHSERVER_DATABASE_URL", "postgresql://u:hidden@h/d")
    result = CommandLine().run("serve", "--workers", "2")
    assert (result.exit_code, result.stdout) == (1, "")
    for name in ("TYPO", "ACCESS_TOKEN_TTL", "ISSUER", "SECRET_KEY", "DATABASE_URL", "WORKERS"):
        assert f"AUTHSERVER_{name}" in result.stderr, name
    assert "hidden" not in result.stderr
    assert not empty_dir.exists()


def test_who_has_set_nothing_is_told_how_to_begin(empty_dir: Path) -> None:
    """The refusal of the first start says how to try it, and how to make a key."""
    stderr = CommandLine().run("serve", "--port", str(free_port())).stderr
    assert "authserver serve --dev" in stderr
    assert "openssl rand -hex 32" in stderr


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_secret_file_that_cannot_be_read_is_one_line(
    empty_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    """It is not said to be missing as well, and the reason is in plain words."""
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("AUTHSERVER_ISSUER", "https://as.example")
    monkeypatch.setenv("AUTHSERVER_SECRET_KEY_FILE", str(tmp_path / "key"))
    line = CommandLine().refusal("serve", "--port", str(free_port()))
    reason = "No such file or directory" if content is None else "not UTF-8"
    assert line == f"Error: AUTHSERVER_SECRET_KEY_FILE: cannot read the file ({reason}); name a readable text file."


def test_http_is_for_dev_only(empty_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An http issuer keeps a production server from starting."""
    monkeypatch.setenv("AUTHSERVER_ISSUER", "http://as.example")
    monkeypatch.setenv("AUTHSERVER_SECRET_KEY", "k" * 40)
    assert "https" in CommandLine().refusal("serve", "--port", str(free_port()))


def test_a_port_that_is_taken_is_one_line(empty_dir: Path) -> None:
    """The port in use: exit 1 before anything is opened."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = CommandLine().refusal("serve", "--dev", "--port", str(port))
    assert line.startswith(f"Error: AUTHSERVER_PORT: cannot listen on 127.0.0.1:{port}")
    assert line.endswith("choose another: --port N, or AUTHSERVER_PORT.")
    assert not empty_dir.exists()


def test_more_than_one_worker_needs_redis(empty_dir: Path) -> None:
    """Without Redis the workers would not see each other's revocations at once."""
    assert "AUTHSERVER_WORKERS" in CommandLine().refusal("serve", "--dev", "--workers", "2", "--port", str(free_port()))


def test_production_logs_json_on_stderr_and_nothing_on_stdout(tmp_path: Path) -> None:
    """With its settings complete a server starts without --dev; each log line is one JSON object."""
    port = str(free_port())
    settings = {
        "AUTHSERVER_DATA_DIR": str(tmp_path / "data"),
        "AUTHSERVER_ISSUER": "https://as.example",
        "AUTHSERVER_SECRET_KEY": "k" * 40,
        "AUTHSERVER_SHUTDOWN_DELAY_SECONDS": "0",
    }
    with _serving("--port", port, **settings) as process:
        assert process.stderr is not None
        started = json.loads(process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=15)
    assert (started["event"], started["port"]) == ("server.started", int(port))
    assert [json.loads(line)["event"] for line in stderr.splitlines()] == ["server.stopping", "server.stopped"]
    assert (process.returncode, stdout) == (0, "")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),  # noqa: S104 - not bound
        ("::1", "http://[::1]:8000"),
        ("auth.example", "http://auth.example:8000"),
    ],
)
def test_the_welcome_names_an_address_that_can_be_reached(host: str, address: str) -> None:
    """Whatever is listened on, the copied lines go to an address of this machine."""
    assert local_address(read_settings({}, host=host)) == address


def test_the_welcome_calls_this_same_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command is written as one types it here: relative, from PATH, or as a module; with the data directory."""
    program = tmp_path / "bin dir" / "authserver"
    program.parent.mkdir()
    program.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert command_line({}, str(program)) == "'bin dir/authserver'"
    monkeypatch.setenv("PATH", str(program.parent))
    assert command_line({}, str(program)) == "authserver"
    assert re.search(r"-m authserver$", command_line({}, "/x/authserver/__main__.py"))
    assert command_line({"AUTHSERVER_DATA_DIR": "d"}, str(program)) == f"AUTHSERVER_DATA_DIR={tmp_path}/d authserver"


def test_the_welcome_names_the_settings_that_another_terminal_needs() -> None:
    """A database or secret key from the environment is named, never repeated."""
    environment = {"AUTHSERVER_SECRET_KEY": "k" * 40, "AUTHSERVER_ADMIN_TOKEN": "t" * 40}
    text = welcome(read_settings(environment), environment=environment, program="authserver")
    assert "(with the same AUTHSERVER_SECRET_KEY)" in text
    assert "admin token lies in AUTHSERVER_ADMIN_TOKEN\n" in text
    assert "k" * 40 not in text
    assert "t" * 40 not in text
