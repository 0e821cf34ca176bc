"""`authserver migrate` and the doctor on a database that a newer version has migrated."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from authserver.storage import migrate
from tests.cli.command import CommandLine
from tests.server import free_port


@pytest.fixture
def ahead(cli: CommandLine, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Return the command line on a database whose newest migration this version can live with."""
    monkeypatch.setenv("AUTHSERVER_PORT", str(free_port()))
    _execute(data_dir, "UPDATE alembic_version SET version_num = '9999'")
    return cli


def test_a_database_that_is_ahead_but_compatible(ahead: CommandLine) -> None:
    """MIG-01: `status` and `up` say so, and that nothing is to be done; other commands work."""
    told = f"The database is at revision 9999, ahead of this version ({migrate.HEAD}), but compatible with it"
    for command in ("status", "up"):
        assert ahead.text("migrate", command) == f"{told}: nothing to do.\n"
    expected = {"current": "9999", "head": migrate.HEAD, "pending": False, "ahead": True}
    assert ahead.json("migrate", "status") == expected
    assert ahead.json("clients", "create", "--name", "n", "--scope", "read")["client_name"] == "n"


def test_the_doctor_on_a_database_that_is_ahead_but_compatible(ahead: CommandLine) -> None:
    """MIG-01: worth knowing, no problem, and everything else is examined."""
    report = ahead.json("doctor")
    found = {finding["check"]: finding for finding in report["findings"]}
    assert (report["ok"], found["migrations"]["level"], found["keys"]["level"]) == (True, "warning", "ok")
    assert "ahead of this version" in found["migrations"]["meaning"]


def test_a_database_that_is_ahead_and_incompatible(ahead: CommandLine, data_dir: Path) -> None:
    """MIG-03: every command refuses in one line, and the doctor calls it a problem."""
    _execute(data_dir, "UPDATE deployment_state SET value = '9999' WHERE name = 'schema_compatible_with'")
    for arguments in (("migrate", "status"), ("migrate", "up"), ("clients", "list"), ("keys", "list")):
        assert "run the newer authserver" in ahead.refusal(*arguments)
    result = ahead.run("doctor", "--json")
    problems = [finding for finding in json.loads(result.stdout)["findings"] if finding["level"] == "problem"]
    assert result.exit_code == 1
    assert [finding["check"] for finding in problems] == ["database"]
    assert "run the newer authserver" in problems[0]["meaning"]


def _execute(data_dir: Path, statement: str) -> None:
    with closing(sqlite3.connect(data_dir / "authserver.db")) as connection, connection:
        connection.execute(statement)
