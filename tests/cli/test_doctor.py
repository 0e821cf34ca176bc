"""`authserver doctor`: each thing that can be wrong is found, and comes with what to do."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from authserver.cli.findings import Level, of_keys, of_metadata, of_refusal
from authserver.cli.issuer_probe import metadata_url
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState, SigningKey
from authserver.settings import Settings, read_settings, setting_name
from tests.cli.command import CommandLine
from tests.server import free_port

DAY = 86400


@pytest.fixture(autouse=True)
def _nobody_serves(empty_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHSERVER_PORT", str(free_port()))


def _problems(cli: CommandLine) -> dict[str, str]:
    """Run the doctor, who must find problems; return their texts by check. Each problem has a remedy."""
    result = cli.run("doctor", "--json")
    report: dict[str, Any] = json.loads(result.stdout)
    assert (result.exit_code, report["ok"]) == (1, False)
    found = [finding for finding in report["findings"] if finding["level"] == "problem"]
    assert all(finding["remedy"] for finding in found)
    return {finding["check"]: finding["meaning"] for finding in found}


def test_a_server_that_does_not_run_is_a_warning(cli: CommandLine) -> None:
    """Without a server everything else is examined; that nobody answers is worth knowing, and exit code 0."""
    text = cli.text("doctor")
    assert "warning  reachability" in text
    assert "problem" not in text


def test_settings_that_cannot_be_read(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting at fault ends the examination with its name."""
    monkeypatch.setenv("AUTHSERVER_TYPO", "1")
    assert "AUTHSERVER_TYPO" in _problems(cli)["settings"]


def test_without_settings_and_data_everything_is_missing(empty_dir: Path) -> None:
    """On a bare machine the doctor names the settings and the database, and makes nothing."""
    problems = _problems(CommandLine())
    assert "AUTHSERVER_SECRET_KEY" in problems["settings"]
    assert "no database" in problems["database"]
    assert not empty_dir.exists()


def test_before_the_first_start_a_missing_database_is_a_warning(
    empty_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all else is well nothing must be mended: the first start makes directory and database."""
    monkeypatch.setenv("AUTHSERVER_ISSUER", "https://as.invalid")
    monkeypatch.setenv("AUTHSERVER_SECRET_KEY", "k" * 40)
    report = CommandLine().json("doctor")
    found = {finding["check"]: finding for finding in report["findings"]}
    assert (report["ok"], found["database"]["level"]) == (True, "warning")
    assert "migrate up" in found["database"]["remedy"]
    assert found["data directory"]["meaning"] == f"There is no {empty_dir} yet; a first start makes it."
    assert not empty_dir.exists()


def test_a_secret_file_that_everybody_may_read(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that a setting names is worth a warning when it is open to all."""
    key = tmp_path / "key"
    key.write_text("t" * 40)
    key.chmod(0o644)
    monkeypatch.setenv("AUTHSERVER_ADMIN_TOKEN_FILE", str(key))
    assert "warning  secret files" in cli.text("doctor")
    key.chmod(0o640)
    assert "secret files" not in cli.text("doctor")


@pytest.mark.parametrize(("extra", "check"), [("DATABASE_URL", "database"), ("REDIS_URL", "redis")])
def test_a_driver_that_is_not_installed(extra: str, check: str) -> None:
    """What the refusal says of installing it is the remedy."""
    text = f"AUTHSERVER_{extra}: the driver is missing: install authserver with its extras [server,some]."
    finding = of_refusal(text, "Check disk space.")
    assert (finding.check, finding.remedy) == (check, "Install authserver again, with the extras that it names.")


def test_a_secret_that_others_may_read(cli: CommandLine, data_dir: Path) -> None:
    """Files with secrets are for their owner: a group is a warning, everybody a problem."""
    (data_dir / "admin-token").chmod(0o640)
    assert "warning  data directory" in cli.text("doctor")
    (data_dir / "secret-key").chmod(0o604)
    assert "secret-key" in _problems(cli)["data directory"]


def test_a_database_that_is_not_migrated(cli: CommandLine, data_dir: Path) -> None:
    """An empty database needs `migrate up`."""
    (data_dir / "authserver.db").write_bytes(b"")
    for name in ("authserver.db-wal", "authserver.db-shm"):
        (data_dir / name).unlink(missing_ok=True)
    assert "is empty" in _problems(cli)["migrations"]


def test_a_database_that_is_none(cli: CommandLine, data_dir: Path) -> None:
    """A file that SQLite cannot read is a problem of the database."""
    (data_dir / "authserver.db").write_bytes(b"not a database" * 1000)
    assert "cannot read" in _problems(cli)["database"]


def test_signing_keys_that_cannot_be_decrypted(cli: CommandLine, data_dir: Path) -> None:
    """Another secret key than the one that sealed them is a problem of the keys."""
    cli.json("keys", "list")
    (data_dir / "secret-key").write_text("x" * 40)
    assert "cannot be decrypted" in _problems(cli)["keys"]


def test_a_clock_that_is_behind(cli: CommandLine, data_dir: Path) -> None:
    """A database from the future says that the clock is wrong."""
    cli.json("keys", "list")
    with closing(sqlite3.connect(data_dir / "authserver.db")) as connection, connection:
        connection.execute("UPDATE signing_keys SET published_at = ? WHERE state = 'next'", (int(time.time()) + DAY,))
    assert "behind" in _problems(cli)["clock"]


def test_a_rotation_that_is_overdue_is_a_warning() -> None:
    """A key that signs far longer than the rotation schedule says so."""
    settings = read_settings({}, key_rotation_seconds=30 * DAY)
    found = list(of_keys([_key(activated_at=0)], [], settings=settings, now_seconds=40 * DAY))
    assert [finding.level for finding in found] == [Level.WARNING]
    assert "40 days" in found[0].meaning


def test_an_algorithm_without_a_key_is_a_problem() -> None:
    """Each algorithm in use needs an active key."""
    found = list(of_keys([_key(activated_at=0)], [], settings=read_settings({}, signing_alg="RS256"), now_seconds=DAY))
    assert [finding.level for finding in found] == [Level.PROBLEM, Level.OK]


def test_clocks_that_differ_are_a_warning() -> None:
    """The Date of the server's answer is compared with the clock here."""
    found = list(of_metadata("https://as", {"issuer": "https://as"}, served_at=1000, now_seconds=1200))
    assert [finding.level for finding in found] == [Level.OK, Level.WARNING]


def test_metadata_is_looked_for_between_host_and_path() -> None:
    """RFC 8414 §3.1: the well-known part comes before the issuer's path."""
    assert metadata_url("https://as:8/t/") == "https://as:8/.well-known/oauth-authorization-server/t"


def test_every_setting_is_listed(cli: CommandLine) -> None:
    """`doctor --settings` has each setting, with a meaning."""
    rows = cli.json("doctor", "--settings")
    assert {row["name"] for row in rows} == {setting_name(name) for name in Settings.model_fields}
    assert all(row["meaning"] for row in rows)
    assert "AUTHSERVER_SECRET_KEY_FILE" in cli.text("doctor", "--settings")


def _key(*, activated_at: int) -> SigningKey:
    return SigningKey(
        kid="k",
        workspace_id="default",
        alg=SigningAlg.ES256,
        state=KeyState.ACTIVE,
        sealed_private=b"",
        published_at=0,
        activated_at=activated_at,
    )
