"""Our server: started as a user starts it, filled with clients and with revocations."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from uuid import UUID

from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.processes import running
from tests.benchmarks.server import AUDIENCE, SCOPE, Client, Connection, Server

OWN_NAME = "authserver"

_PROJECT = Path(__file__).parents[2]
_COMMAND = Path(sys.executable).with_name("authserver")
_START_SECONDS = 120
_TOKEN_LIFETIME_SECONDS = 3_600
_REVOKED_TOKEN = """
INSERT INTO revocations (kind, value, workspace_id, revoked_at_ms, expires_at, reason, actor)
VALUES ('jti', ?, ?, ?, ?, '', 'benchmark')
"""


@contextmanager
def own_server(
    data: Path, *, port: int, core: int | None, wait: bool = True, settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run our server on the folder `data` until the block ends: one worker, SQLite, everything on.

    `settings` are AUTHSERVER_* variables that make it something else.

    The port is part of the issuer: a server that knows its tokens again must have the port that it had.
    With `wait` false the block begins at once, whether or not the server is ready.
    """
    if not _COMMAND.exists():
        raise BenchmarkError(f"there is no {_COMMAND.name} command beside this Python; run `make setup`")
    data.mkdir(exist_ok=True)
    command = [str(_COMMAND), "serve", "--dev", "--port", str(port)]
    log = data.with_name(f"{data.name}.log")
    with running(
        command, environment={**_environment(data), **(settings or {})}, folder=_PROJECT, log=log, core=core
    ) as process:
        server = Server(
            name=OWN_NAME,
            port=port,
            running=process,
            ready_path="/health/ready",
            token_path="/oauth2/token",
            introspection_path="/oauth2/introspect",
        )
        if wait:
            server.wait_until_ready(_START_SECONDS)
        yield server


def create_client(data: Path, name: str, settings: Mapping[str, str] | None = None) -> Client:
    """Create a client with the command line."""
    arguments = ["clients", "create", "--name", name, "--scope", SCOPE, "--audience", AUDIENCE, "--json"]
    finished = subprocess.run(
        [str(_COMMAND), *arguments],
        cwd=_PROJECT,
        env={**_environment(data), **(settings or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise BenchmarkError(f"`authserver clients create` failed: {finished.stderr.strip()}")
    created = json.loads(finished.stdout)
    return Client(created["client_id"], created["client_secret"])


def create_clients(data: Path, server: Server, count: int) -> list[Client]:
    """Create `count` clients with the management API."""
    token = (data / "admin-token").read_text(encoding="ascii").strip()
    clients = []
    with Connection(server.port) as connection:
        for number in range(count):
            wanted = {"client_name": f"benchmark {number}", "scope": SCOPE, "audiences": [AUDIENCE]}
            created = connection.post("/admin/v1/clients", f"Bearer {token}", "application/json", json.dumps(wanted))
            clients.append(Client(created["client_id"], created["client_secret"]))
    return clients


def seed_revocations(data: Path, count: int, token: str) -> None:
    """Write `token` and others as revoked, `count` in all, into the database of a server that is stopped.

    They expire in the second half of a token's lifetime, none before the bench has ended.
    """
    now = int(time.time())
    half_life = _TOKEN_LIFETIME_SECONDS // 2
    with closing(sqlite3.connect(data / "authserver.db")) as database, database:
        (workspace,) = database.execute("SELECT workspace_id FROM workspaces").fetchone()
        revoked = chain([_token_id(token)], (_identifier(now, number) for number in range(1, count)))
        rows = (
            (value, workspace, now * 1_000, now + half_life + number % half_life)
            for number, value in enumerate(revoked)
        )
        database.executemany(_REVOKED_TOKEN, rows)


def _identifier(seconds: int, number: int) -> str:
    """Return a UUIDv7 (RFC 9562 §5.7) of that time, different for every number."""
    version, variant = 0x7, 0b10
    return str(UUID(int=seconds * 1_000 << 80 | version << 76 | variant << 62 | number))


def _token_id(token: str) -> str:
    """Return the `jti` of a JWT (RFC 7519 §4.1.7)."""
    payload = token.split(".")[1]
    return str(json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"])


def _environment(data: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSERVER_")}
    return {**inherited, "AUTHSERVER_DATA_DIR": str(data)}
