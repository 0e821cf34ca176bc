"""Revoked tokens by the million, written into the database of a stopped server: it takes them up when it starts.

They were issued evenly over the last hour, a minute of which the server keeps together, and live for two.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from authserver.core.identifiers import DEFAULT_WORKSPACE, new_token_id
from tests.postgresql import PostgresqlServer

_SPREAD_SECONDS = 3_600
_LIFETIME_SECONDS = 7_200

_COLUMNS = "kind, value, workspace_id, revoked_at_ms, expires_at, reason, actor"

_Row = tuple[str, str, str, int, int, str, str]


def write_to_sqlite(file: Path, count: int, *, among: Sequence[str] = ()) -> None:
    """Write `count` revoked tokens into the database `file`; the `jti` in `among` are the first of them."""
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        marks = ", ".join("?" * len(_COLUMNS.split(",")))
        database.executemany(f"INSERT INTO revocations ({_COLUMNS}) VALUES ({marks})", _rows(count, among))  # noqa: S608 - of constants


def write_to_postgresql(server: PostgresqlServer, database: str, count: int, *, among: Sequence[str] = ()) -> None:
    """Write `count` revoked tokens into `database` of `server`; the `jti` in `among` are the first of them.

    The table is vacuumed afterwards, as the server would soon do by itself, and not in the middle of a measurement.
    """
    copy = ["-c", f"COPY revocations ({_COLUMNS}) FROM STDIN", "-c", "VACUUM ANALYZE revocations"]
    with subprocess.Popen([*server.psql(database), *copy], stdin=subprocess.PIPE, text=True) as psql:
        assert psql.stdin is not None
        psql.stdin.writelines("\t".join(map(str, row)) + "\n" for row in _rows(count, among))
    assert psql.returncode == 0, "psql did not take the rows"


def _rows(count: int, among: Sequence[str]) -> Iterator[_Row]:
    """Yield `count` rows in the order of `_COLUMNS`, each of them issued at another moment than its neighbours."""
    now = int(time.time())
    for number in range(count):
        issued_at = now - number % _SPREAD_SECONDS
        token_id = among[number] if number < len(among) else new_token_id(issued_at * 1_000)
        yield "jti", token_id, DEFAULT_WORKSPACE, now * 1_000, issued_at + _LIFETIME_SECONDS, "", "test"
