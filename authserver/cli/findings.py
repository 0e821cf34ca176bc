"""What the doctor makes of what it has seen: each finding says what it means and what to do. No I/O, no clock."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from authserver.core.json_value import Json
from authserver.core.resource import Resource, SigningAlg
from authserver.core.signing_key import KeyState, SigningKey
from authserver.settings import Settings, common_problems, production_problems
from authserver.storage.migrate import MigrationStatus

_EXTRAS = "with its extras ["

SECONDS_PER_DAY = 86400
MAX_SKEW_SECONDS = 60


class Level(StrEnum):
    """OK needs nothing, a WARNING is worth knowing, a PROBLEM must be mended."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result: what was checked, what it means, and what to do about it, "" for nothing."""

    check: str
    level: Level
    meaning: str
    remedy: str = ""


def ok(check: str, meaning: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(check, Level.OK, meaning)


def warning(check: str, meaning: str, remedy: str) -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(check, Level.WARNING, meaning, remedy)


def problem(check: str, meaning: str, remedy: str) -> Finding:
    """Return a finding that must be mended."""
    return Finding(check, Level.PROBLEM, meaning, remedy)


def has_problem(found: Iterable[Finding]) -> bool:
    """Tell whether something must be mended."""
    return any(finding.level is Level.PROBLEM for finding in found)


def of_settings(given: Settings, completed: Settings) -> Iterator[Finding]:
    """Judge the settings as `serve` would, or as `serve --dev` when that has `completed` them by its own secrets."""
    dev = given.secret_key is None and completed.secret_key is not None
    problems = common_problems(completed) if dev else production_problems(given)
    for text in problems:
        yield problem("settings", text, "Correct the setting; `authserver doctor --settings` lists all of them.")
    if problems:
        return
    missing = len(production_problems(given))
    if missing:
        yield ok("settings", f"Valid for `serve --dev`; without --dev, {missing} would be missing or unsafe.")
    else:
        yield ok("settings", "Valid.")


def of_modes(modes: Mapping[Path, int], awaited: Path | None) -> Iterator[Finding]:
    """Judge who may use the data directory and what lies in it; `modes` are permission bits.

    `awaited` is the directory when it will be needed and is not there yet.
    """
    if awaited is not None:
        yield ok("data directory", f"There is no {awaited} yet; a first start makes it.")
        return
    for path, mode in modes.items():
        if mode & stat.S_IRWXO:
            yield problem("data directory", f"Everybody on this machine may use {path}.", f"chmod go-rwx {path}")
        elif mode & stat.S_IRWXG:
            yield warning("data directory", f"The group may use {path}.", f"Unless it is meant to: chmod g-rwx {path}")
    if not any(mode & (stat.S_IRWXO | stat.S_IRWXG) for mode in modes.values()):
        yield ok("data directory", "Only its owner may use it." if modes else "Not used.")


def of_secret_files(modes: Mapping[Path, int]) -> Iterator[Finding]:
    """Judge who may read the files that settings name; `modes` are permission bits."""
    for path, mode in modes.items():
        if mode & stat.S_IROTH:
            remedy = f"Unless its directory is closed to others: chmod o-rwx {path}"
            yield warning("secret files", f"Everybody on this machine may read {path}.", remedy)


def of_missing_database(path: Path, *, all_well: bool) -> Finding:
    """Judge a SQLite database that is not there: the next start makes it, unless something else is in the way."""
    if all_well:
        remedy = "`authserver migrate up` makes it, and so does the first `authserver serve`."
        return warning("database", f"There is no database at {path} yet.", remedy)
    return problem(
        "database", f"There is no database at {path}.", "Start the server once, or run `authserver migrate up`."
    )


def of_refusal(text: str, remedy: str) -> Finding:
    """Pass on why a database, or a Redis, cannot be used; the `remedy` is for what does not bring one of its own."""
    check = "redis" if text.startswith("AUTHSERVER_REDIS_URL") else "database"
    if _EXTRAS in text:
        return problem(check, text, "Install authserver again, with the extras that it names.")
    return problem(check, text, "Correct AUTHSERVER_REDIS_URL, or start Redis." if check == "redis" else remedy)


def of_migrations(status: MigrationStatus) -> Finding:
    """Judge the revision of the schema."""
    if status.is_pending:
        have = f"is at revision {status.current}" if status.current else "is empty"
        return problem(
            "migrations",
            f"The database {have}, this version needs {status.head}.",
            "Run `authserver migrate up`, or start the server.",
        )
    if status.is_ahead:
        return warning(
            "migrations",
            f"The database is at revision {status.current}, ahead of this version ({status.head}), "
            "but compatible with it.",
            "Complete the upgrade: a newer authserver has migrated the database.",
        )
    return ok("migrations", f"The database is at revision {status.current}, the newest.")


def of_keys(
    keys: Sequence[SigningKey], resources: Sequence[Resource], *, settings: Settings, now_seconds: int
) -> Iterator[Finding]:
    """Judge whether every audience has a key that signs, and whether keys are rotated as they should be."""
    active = [key for key in keys if key.state is KeyState.ACTIVE]
    yield from _missing_keys(active, resources, settings.signing_alg)
    for key in active:
        age_days = (now_seconds - (key.activated_at or key.published_at)) // SECONDS_PER_DAY
        if age_days * SECONDS_PER_DAY > settings.key_rotation_seconds:
            yield warning(
                "keys",
                f"{key.alg.value} key {key.kid} has signed for {age_days} days; its rotation is overdue.",
                "Keep a server running, which rotates keys by itself, or run `authserver keys rotate`.",
            )
        else:
            yield ok("keys", f"{key.alg.value} key {key.kid} can be decrypted, and has signed for {age_days} days.")


def _missing_keys(
    active: Iterable[SigningKey], resources: Iterable[Resource], default_alg: SigningAlg
) -> Iterator[Finding]:
    held = {(key.alg, key.resource_id) for key in active}
    wanted: dict[tuple[SigningAlg, str | None], str] = {(default_alg, None): "audiences that are not registered"}
    for resource in resources:
        owner = resource.resource_id if resource.signing_alg is SigningAlg.HS256 else None
        wanted.setdefault((resource.signing_alg, owner), resource.identifier)
    for (alg, owner), audience in wanted.items():
        if (alg, owner) not in held:
            yield problem(
                "keys",
                f"No {alg.value} key signs for {audience}: it gets no tokens.",
                "Start the server, which makes it, or restore the database from a backup.",
            )


def of_clock(now_seconds: int, newest_seconds: int) -> Finding:
    """Compare the clock with the newest time that the database knows."""
    behind = newest_seconds - now_seconds
    if behind > MAX_SKEW_SECONDS:
        return problem(
            "clock",
            f"The clock is {behind} s behind what the database has recorded: tokens would be issued in the past.",
            "Set the clock, and keep it set (chrony, systemd-timesyncd).",
        )
    return ok("clock", "Not behind anything that the database has recorded.")


def of_metadata(issuer: str, document: Json, *, served_at: int | None, now_seconds: int) -> Iterator[Finding]:
    """Compare the metadata served at the issuer's address (RFC 8414 §3.3), and the Date of the answer, with ours."""
    claimed = document.get("issuer") if isinstance(document, dict) else None
    if claimed != issuer:
        yield problem(
            "reachability",
            f"What answers at {issuer} is another issuer: clients will refuse our tokens.",
            "Route that address to this server, or correct AUTHSERVER_ISSUER.",
        )
    else:
        yield ok("reachability", f"The metadata of {issuer} is served there.")
    if served_at is not None and abs(served_at - now_seconds) > MAX_SKEW_SECONDS:
        yield warning(
            "clock",
            f"The server's clock and the one here differ by {abs(served_at - now_seconds)} s.",
            "Set both clocks, and keep them set (chrony, systemd-timesyncd).",
        )


def of_silence(issuer: str, reason: str) -> Finding:
    """Say that nothing useful answers at the issuer's address."""
    return warning(
        "reachability",
        f"The metadata of {issuer} cannot be read ({reason}).",
        "Start the server; if it runs, check DNS, certificate and proxy on the way to it.",
    )
