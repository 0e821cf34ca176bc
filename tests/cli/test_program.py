"""The root command: help, exit codes, and what a failure looks like."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from authserver.cli.program import COMMANDS, program, reason_of
from authserver.core.errors import ConfigurationError
from tests.cli.command import CommandLine

HEAVY = ("sqlalchemy", "pydantic", "starlette", "uvicorn", "authlib", "joserfc", "structlog", "alembic")


def _commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}".strip(), command


def test_every_command_has_a_help_text_with_an_example() -> None:
    """Each help text says what the command does and shows it as it is typed; each option says what it is."""
    for name, command in _commands(program):
        assert command.help, name
        assert f"authserver {name}" in (command.epilog or ""), name
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, f"{name} {parameter.name}"


def test_every_command_that_prints_data_takes_json() -> None:
    """Only commands that print a plain sentence, or serve, have no `--json`."""
    silent = {"serve", "sidecar", "clients remove-secret", "clients delete", "resources delete", "claims remove"}
    without = {name for name, command in _commands(program) if "as_json" not in {p.name for p in command.params}}
    assert without == silent


def test_the_list_of_commands_is_in_step_with_the_commands() -> None:
    """The root's help is written without importing the commands, and says what they say."""
    for name, entry in COMMANDS.items():
        command = program.get_command(click.Context(program), name)
        assert command is not None
        assert (command.help or "").splitlines()[0] == entry.summary


@pytest.mark.parametrize("argument", ["--help", "version"])
def test_help_and_version_import_nothing_heavy(argument: str) -> None:
    """What needs no server imports none of it."""
    code = (
        "import sys; from authserver.cli.program import program; "
        f"program(['{argument}'], standalone_mode=False); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")


def test_version(cli: CommandLine) -> None:
    """The version is that of the installed package."""
    number = importlib.metadata.version("authserver")
    assert cli.text("version") == cli.text("--version") == f"authserver {number}\n"
    assert cli.json("version") == {"version": number}


def test_openapi_needs_no_database(empty_dir: Path) -> None:
    """The document of `GET /openapi.json` can be printed anywhere."""
    document = CommandLine().json("openapi")
    assert document["openapi"].startswith("3.1")
    assert "/admin/v1/clients" in document["paths"]
    assert not empty_dir.exists()


def test_without_a_database_a_command_says_what_to_do_and_makes_none(empty_dir: Path) -> None:
    """A command never creates a database in passing."""
    line = CommandLine().refusal("clients", "list")
    assert (
        line
        == f"Error: no database at {empty_dir}/authserver.db: start the server once, or run `authserver migrate up`, "
        "or run this where the server runs, or set AUTHSERVER_DATA_DIR."
    )
    assert not empty_dir.exists()


def test_without_the_secret_key_a_command_is_refused(cli: CommandLine, data_dir: Path) -> None:
    """A database whose key is missing cannot be administered."""
    (data_dir / "secret-key").unlink()
    assert "AUTHSERVER_SECRET_KEY is missing" in cli.refusal("clients", "list")


def test_a_wrong_secret_key_is_refused_in_one_line(cli: CommandLine, data_dir: Path) -> None:
    """A key that does not decrypt the signing keys is named as the cause."""
    cli.json("keys", "list")
    (data_dir / "secret-key").write_text("x" * 40)
    assert "AUTHSERVER_SECRET_KEY" in cli.refusal("clients", "list")


def test_a_damaged_database_is_refused_in_one_line(cli: CommandLine, data_dir: Path) -> None:
    """A file that is no database is no reason for a traceback."""
    (data_dir / "authserver.db").write_bytes(b"not a database" * 1000)
    assert "AUTHSERVER_DATABASE_URL" in cli.refusal("clients", "list")


def test_settings_at_fault_are_all_named(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting at fault has a line of its own, an unknown one among them; values are not repeated."""
    monkeypatch.setenv("AUTHSERVER_PORT", "hidden")
    monkeypatch.setenv("AUTHSERVER_TYPO", "1")
    result = cli.run("clients", "list")
    assert result.exit_code == 1
    assert "AUTHSERVER_PORT: " in result.stderr
    assert "AUTHSERVER_TYPO " in result.stderr
    assert "hidden" not in result.stderr


def test_an_unexpected_failure_shows_its_place_and_not_its_text() -> None:
    """Whatever a bug raises, its text, which may hold a secret, is not printed."""
    with pytest.raises(KeyError) as raised:
        dict[str, str]()["cs_secret"]
    line = reason_of(raised.value)
    assert "KeyError" in line
    assert "test_program.py" in line
    assert "cs_secret" not in line


def test_configuration_errors_keep_their_lines() -> None:
    """All problems of the settings are shown, one a line."""
    assert reason_of(ConfigurationError("a", "b")) == "a\nb"


def test_verbose_shows_the_audit_on_stderr(cli: CommandLine) -> None:
    """Log lines come only when asked for, and never on stdout."""
    result = cli.run("--verbose", "clients", "create", "--name", "n", "--json")
    client = json.loads(result.stdout)
    assert "client.created" in result.stderr
    assert client["client_secret"] not in result.stderr


def test_unknown_commands_are_wrong_usage(cli: CommandLine) -> None:
    """A typo ends with 2 and what was meant."""
    assert "No such command 'client'. Did you mean 'clients'?" in cli.usage("client")
    assert "Did you mean 'create'?" in cli.usage("clients", "creat")


def test_the_lists_of_commands_are_not_cut_short(cli: CommandLine) -> None:
    """The first sentence of each command fits into the list of its group."""
    for group in COMMANDS:
        assert "..." not in cli.text(group, "--help").partition("\nCommands:")[2]


def test_without_the_server_extra_one_line_says_how_to_install_it() -> None:
    """The light install has no click: `authserver` then says what to do."""
    code = (
        "import sys; sys.modules['click'] = None; sys.argv = ['authserver', 'version']; "
        "from authserver.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "install authserver with its extra [server]" in done.stderr
    assert done.stderr.count("\n") == 1


def test_migrate_up_makes_the_database_and_status_says_where_it_stands(empty_dir: Path) -> None:
    """Status changes nothing; up migrates, and is repeatable."""
    cli = CommandLine()
    assert cli.json("migrate", "status")["pending"] is True
    assert "migrate up" in cli.text("migrate", "status")
    assert not empty_dir.exists()
    assert cli.json("migrate", "up")["pending"] is False
    assert "the newest" in cli.text("migrate", "up")
    assert cli.json("migrate", "status")["current"] == cli.json("migrate", "status")["head"]
