"""`authserver doctor`: looks at everything that a server needs, and says what to do about each finding."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click
from pydantic_core import PydanticUndefined

from authserver.app.runtime import Runtime
from authserver.cli import findings
from authserver.cli.findings import Finding, Level
from authserver.cli.issuer_probe import look_at
from authserver.cli.options import example, json_option
from authserver.cli.output import print_json, print_table
from authserver.cli.session import work_on
from authserver.core.clock import seconds, system_clock
from authserver.core.errors import AuthServerError, ConfigurationError
from authserver.development import ADMIN_TOKEN_FILE, SECRET_KEY_FILE, from_data_dir
from authserver.keys.errors import SealBroken
from authserver.settings import FILE_SETTINGS, FILE_SUFFIX, Settings, read_settings, setting_name
from authserver.storage import migrate
from authserver.storage.address import database_file

#: Written to see whether the database can be written, and read to see whether the clock runs backwards.
CHECKED_AT_STATE = "doctor_checked_at"

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}


@click.command(epilog=example("authserver doctor", "authserver doctor --json"))
@click.option("--settings", "list_settings", is_flag=True, help="List every setting with its default and meaning.")
@json_option
def doctor(*, list_settings: bool, as_json: bool) -> None:
    """Check settings, database, keys, clock and reachability.

    Each finding is ok, a warning or a problem, and says what to do. Exit code 1 when there is a problem.
    """
    if list_settings:
        _print_settings(as_json=as_json)
        return
    found = _examine()
    healthy = not findings.has_problem(found)
    if as_json:
        print_json({"ok": healthy, "findings": [asdict(finding) for finding in found]})
    else:
        _print_findings(found)
    click.get_current_context().exit(0 if healthy else 1)


def _examine() -> list[Finding]:
    """Return all findings, from the settings outward; what rests on a failed check is left out."""
    try:
        given = read_settings()
        settings = from_data_dir(given)
    except ConfigurationError as error:
        remedy = "`authserver doctor --settings` lists all settings."
        return [findings.problem("settings", text, remedy) for text in error.problems]
    outside = [
        *findings.of_settings(given, settings),
        *findings.of_modes(_modes(settings), _awaited_directory(settings)),
        *findings.of_secret_files(_secret_file_modes()),
    ]
    in_database, known_issuer = _examine_database(settings, all_well=not findings.has_problem(outside))
    issuer = settings.issuer or known_issuer
    return [
        *outside,
        *in_database,
        *(_examine_reachability(issuer) if issuer else ()),
    ]


def _examine_database(settings: Settings, *, all_well: bool) -> tuple[list[Finding], str | None]:
    """Return the findings on database, migrations, keys and clock, and the issuer that was served last.

    Where all is well so far, a SQLite database that is not there yet is no problem.
    """
    try:
        path, status = database_file(settings.database), migrate.status(settings.database)
    except ConfigurationError as error:
        return [findings.of_refusal(str(error), "Correct AUTHSERVER_DATABASE_URL, or the file's permissions.")], None
    if path is not None and not path.exists():
        return [findings.of_missing_database(path, all_well=all_well)], None
    migrated = findings.of_migrations(status)
    if status.is_pending or not settings.secret_keys:
        return [migrated], None
    try:
        inside, issuer = work_on(settings, _examine_runtime)
    except (AuthServerError, ConfigurationError) as error:
        return [migrated, _of_failure(error)], None
    return [migrated, *inside], issuer


async def _examine_runtime(runtime: Runtime) -> tuple[list[Finding], str]:
    c = runtime.capabilities
    now, keys, resources = seconds(c.clock()), c.keys.list(), c.resources.all()
    checked_at = int(await c.database.state.get(CHECKED_AT_STATE) or 0)
    await c.database.state.put(CHECKED_AT_STATE, str(now))
    recorded = [checked_at, *(resource.updated_at for resource in resources)]
    recorded += [time for key in keys for time in (key.published_at, key.activated_at or 0)]
    found = [
        findings.ok("database", "Reachable and writable."),
        *findings.of_keys(keys, resources, settings=c.settings, now_seconds=now),
        findings.of_clock(now, max(recorded)),
    ]
    return found, c.issuer


def _of_failure(error: AuthServerError | ConfigurationError) -> Finding:
    if isinstance(error, SealBroken):
        return findings.problem("keys", error.reason, "Without the earlier secret key these keys are lost for good.")
    return findings.of_refusal(str(error), "Check disk space, permissions, and who holds a lock.")


def _examine_reachability(issuer: str) -> Iterable[Finding]:
    look = look_at(issuer)
    if look.failure:
        return [findings.of_silence(issuer, look.failure)]
    now = seconds(system_clock())
    return findings.of_metadata(issuer, look.document, served_at=look.served_at, now_seconds=now)


def _modes(settings: Settings) -> dict[Path, int]:
    """Return the permission bits of the data directory and of what holds secrets in it."""
    directory = settings.data_dir
    paths = (directory, directory / SECRET_KEY_FILE, directory / ADMIN_TOKEN_FILE, directory / "authserver.db")
    return {path: path.stat().st_mode for path in paths if os.access(path, os.F_OK)}


def _awaited_directory(settings: Settings) -> Path | None:
    """Return the data directory where it will hold the database and is not there yet."""
    return settings.data_dir if settings.database_url is None and not settings.data_dir.exists() else None


def _secret_file_modes() -> dict[Path, int]:
    """Return the permission bits of the files that settings are read from."""
    named = (os.environ.get(setting_name(name) + FILE_SUFFIX) for name in FILE_SETTINGS)
    return {Path(path): Path(path).stat().st_mode for path in named if path and os.access(path, os.F_OK)}


def _print_findings(found: Iterable[Finding]) -> None:
    for finding in found:
        level = click.style(f"{finding.level.value:<8}", fg=_COLOURS[finding.level])
        click.echo(f"{level} {finding.check:<15} {finding.meaning}")
        if finding.remedy:
            click.echo(f"{'':<24} → {finding.remedy}")


def _or_file(name: str) -> str:
    return f" Or {setting_name(name)}{FILE_SUFFIX}." if name in FILE_SETTINGS else ""


def _print_settings(*, as_json: bool) -> None:
    rows = [
        {
            "name": setting_name(name),
            "default": None if field.default in (None, PydanticUndefined) else str(field.default),
            "meaning": f"{field.description}{_or_file(name)}",
        }
        for name, field in Settings.model_fields.items()
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(("name", "default", "meaning"), rows, nothing="")
