"""`--credentials`, `--credentials-file` and `--secret-file`: where a new secret goes."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tests.cli.command import CommandLine

CREATE = ("clients", "create", "--name", "n", "--client-id", "c")


@pytest.mark.parametrize("act", ["create", "rotate-secret"])
def test_a_secret_goes_into_new_files(cli: CommandLine, tmp_path: Path, act: str) -> None:
    """Two files for their owner alone; what is printed names them, and does not have the secret."""
    both, alone = tmp_path / "credentials", tmp_path / "secret"
    command: tuple[str, ...] = CREATE
    if act == "rotate-secret":
        cli.json(*CREATE)
        command = ("clients", "rotate-secret", "c")
    printed = cli.text(*command, "--credentials-file", str(both), "--secret-file", str(alone))
    secret = alone.read_text().strip()
    assert secret.startswith("cs_")
    assert (both.read_text(), alone.read_text()) == (f"c:{secret}\n", f"{secret}\n")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (both, alone)} == {0o600}
    assert secret not in printed
    assert f"written to {both} and {alone}" in printed


def test_json_of_a_secret_in_a_file_has_none(cli: CommandLine, tmp_path: Path) -> None:
    """A program finds no text in the place of the secret that it could take for one."""
    client = json.loads(cli.text(*CREATE, "--secret-file", str(tmp_path / "s"), "--json"))
    assert client["client_id"] == "c"
    assert "client_secret" not in client


def test_rotate_prints_credentials(cli: CommandLine) -> None:
    """`rotate-secret --credentials` prints one line, as `create` does."""
    cli.json(*CREATE)
    client_id, _, secret = cli.text("clients", "rotate-secret", "c", "--credentials").strip().partition(":")
    assert client_id == "c"
    assert secret[-4:] in {entry["secret_hint"] for entry in cli.json("clients", "show", "c")["secrets"]}


@pytest.mark.parametrize("option", ["--credentials-file", "--secret-file"])
def test_a_file_that_exists_is_left_alone(cli: CommandLine, tmp_path: Path, option: str) -> None:
    """Nothing is created then; nor where no file can be made."""
    file = tmp_path / "file"
    file.write_text("mine")
    assert cli.refusal(*CREATE, option, str(file)) == f"Error: {file} exists already; name a new file"
    assert "cannot make" in cli.refusal(*CREATE, option, "/nowhere/file")
    assert file.read_text() == "mine"
    assert cli.json("clients", "list") == []


def test_a_command_that_fails_leaves_no_file(cli: CommandLine, tmp_path: Path) -> None:
    """The files of a refused command are removed again."""
    file = tmp_path / "file"
    cli.json(*CREATE)
    assert "exists already" in cli.refusal(*CREATE, "--secret-file", str(file))
    assert cli.refusal("clients", "rotate-secret", "nobody", "--credentials-file", str(file))
    assert cli.refusal(*CREATE, "--credentials-file", str(file), "--secret-file", str(file))
    assert not file.exists()


def test_a_secret_that_cannot_be_written_is_said_to_be_lost(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: the client is there, and the refusal says how to give it another secret."""
    monkeypatch.setattr("authserver.cli.secret_files._created", lambda _: os.open("/dev/full", os.O_WRONLY))
    assert "rotate-secret" in cli.refusal(*CREATE, "--secret-file", str(tmp_path / "file"))
    assert cli.json("clients", "show", "c")["client_id"] == "c"


def test_credentials_cannot_carry_a_colon(cli: CommandLine, tmp_path: Path) -> None:
    """An id with a colon would be read as another one (RFC 7617 §2); its secret alone can be written."""
    create = ("clients", "create", "--name", "n", "--client-id", "a:b")
    for options in (("--credentials",), ("--credentials-file", str(tmp_path / "c"))):
        assert "'a:b' has a colon" in cli.refusal(*create, *options)
    assert not (tmp_path / "c").exists()
    cli.text(*create, "--secret-file", str(tmp_path / "s"))
    assert "has a colon" in cli.refusal("clients", "rotate-secret", "a:b", "--credentials")


def test_what_excludes_each_other(cli: CommandLine, tmp_path: Path) -> None:
    """Printing and keeping off the screen cannot both be meant; ending a rotation makes no secret."""
    file = str(tmp_path / "file")
    assert "take one" in cli.usage(*CREATE, "--credentials", "--secret-file", file)
    assert "make no secret" in cli.usage("clients", "rotate-secret", "c", "--complete", "--secret-file", file)
    assert not (tmp_path / "file").exists()
