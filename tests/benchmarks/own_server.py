"""Our server: started as a user starts it, filled with clients."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.processes import running
from tests.benchmarks.server import AUDIENCE, JSON, SCOPE, Client, Connection, Server

OWN_NAME = "authserver"

_PROJECT = Path(__file__).parents[2]
_COMMAND = Path(sys.executable).with_name("authserver")
_START_SECONDS = 120


@contextmanager
def own_server(
    data: Path, *, port: int, cores: Sequence[int], settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run our server on the folder `data` until the block ends, once it is ready: one worker, SQLite, everything on.

    `settings` are AUTHSERVER_* variables that make it something else.

    The port is part of the issuer: a server that knows its tokens again must have the port that it had.
    """
    if not _COMMAND.exists():
        raise BenchmarkError(f"there is no {_COMMAND.name} command beside this Python; run `make setup`")
    data.mkdir(exist_ok=True)
    command = [str(_COMMAND), "serve", "--dev", "--port", str(port)]
    log = data.with_name(f"{data.name}.log")
    with running(
        command, environment={**_environment(data), **(settings or {})}, folder=_PROJECT, log=log, cores=cores
    ) as process:
        server = Server(
            name=OWN_NAME,
            port=port,
            running=process,
            ready_path="/health/ready",
            token_path="/oauth2/token",
            introspection_path="/oauth2/introspect",
        )
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
    authorization = admin_authorization(data)
    clients = []
    with Connection(server.port) as connection:
        for number in range(count):
            wanted = {"client_name": f"benchmark {number}", "scope": SCOPE, "audiences": [AUDIENCE]}
            created = connection.post("/admin/v1/clients", authorization, JSON, json.dumps(wanted))
            clients.append(Client(created["client_id"], created["client_secret"]))
    return clients


def admin_authorization(data: Path) -> str:
    """Return the Authorization value for the management API of the server on the folder `data`."""
    return f"Bearer {(data / 'admin-token').read_text(encoding='ascii').strip()}"


def _environment(data: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSERVER_")}
    return {**inherited, "AUTHSERVER_DATA_DIR": str(data)}
