"""A PostgreSQL server for tests: a real one, on a free port, with a temporary data directory, ended by process id."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.server import free_port

USER = "authserver"
START_SECONDS = 30
_PROGRAMS = Path("/usr/lib/postgresql")

# The tests end the server in every way but one: the machine stays up. So nothing has to reach the disk.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "log_min_messages": "warning",
}


def unavailable() -> str | None:
    """Return why no PostgreSQL can be started here, in one line; None when one can."""
    if _programs() is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    if os.geteuid() == 0 and (_account() is None or shutil.which("setpriv") is None):
        return "PostgreSQL refuses to run as root, and there is no account `postgres` with setpriv to run it as"
    return None


@dataclass
class PostgresqlServer:
    """One server and what a test may do to it."""

    directory: Path
    port: int
    password: str = field(repr=False)
    process: subprocess.Popen[bytes] | None = None
    _names: Iterator[int] = field(default_factory=itertools.count)

    def url(self, database: str, *, user: str = USER, password: str | None = None) -> str:
        """Return the AUTHSERVER_DATABASE_URL of one of its databases."""
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, *, template: str = "template0") -> str:
        """Make a database, a copy of `template`, and return its name."""
        name = f"test_{next(self._names)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def sql(self, statement: str, *, database: str = "postgres") -> str:
        """Run statements as the superuser and return the rows, a line each, with | between the columns."""
        command = [*self.psql(database), "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def psql(self, database: str) -> list[str]:
        """Return the command that runs PostgreSQL's own client as the superuser."""
        return [_program("psql"), "-qtAX", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)]

    def schema(self, database: str) -> list[str]:
        """Return the definitions of a database, as pg_dump writes them."""
        command = [_program("pg_dump"), "--schema-only", "--dbname", self.url(database)]
        dump = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [line for line in dump.splitlines() if line and not line.startswith(("--", "\\"))]

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        command = [_program("postgres"), "-D", str(self.directory / "data"), "-p", str(self.port), *options]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(_unprivileged(command), stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(subprocess.CalledProcessError):
                self.sql("SELECT 1")
                return
            time.sleep(0.02)
        raise AssertionError(f"PostgreSQL did not start:\n{(self.directory / 'log').read_text()[-2000:]}")

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it in order, whoever is connected; with SIGQUIT at once, as nothing of it will be needed."""
        self.resume()
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(START_SECONDS)
            self.process = None

    def kill(self) -> None:
        """End it as by kill -9, with every process of its own; the next start recovers."""
        pids = self._pids()
        for pid in reversed(pids):
            _signal(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(START_SECONDS)
        while any(map(_is_alive, pids)):
            time.sleep(0.01)
        self.process = None

    def suspend(self) -> None:
        """Hang it: connections stay open and nothing answers, until `resume`."""
        for pid in self._pids():
            _signal(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `suspend`."""
        for pid in self._pids():
            _signal(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        """Return the server's process and those that it started."""
        if self.process is None or self.process.poll() is not None:
            return []
        parent = self.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [parent, *map(int, children)]


@contextlib.contextmanager
def start_postgresql() -> Iterator[PostgresqlServer]:
    """Run a server with a superuser `authserver` and a password until the block is left."""
    directory = Path(tempfile.mkdtemp(prefix="authserver-postgresql-"))
    server = PostgresqlServer(directory, free_port(), secrets.token_hex(8))
    try:
        _initialise(server)
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(directory, ignore_errors=True)


def _initialise(server: PostgresqlServer) -> None:
    password_file = server.directory / "password"
    password_file.write_text(server.password)
    account = _account()
    if os.geteuid() == 0 and account is not None:
        for path in (server.directory, password_file):
            os.chown(path, account.pw_uid, account.pw_gid)
    options = ["-U", USER, "-A", "scram-sha-256", "--pwfile", str(password_file), "-E", "UTF8", "--locale", "C.UTF-8"]
    command = [_program("initdb"), "-D", str(server.directory / "data"), "--no-sync", *options]
    subprocess.run(_unprivileged(command), check=True, capture_output=True)


def _unprivileged(command: list[str]) -> list[str]:
    """Return the command as root must run it: PostgreSQL refuses root. The process id stays the same."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]


def _account() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


def _programs() -> Path | None:
    """Return the directory of the newest version's programs; Debian keeps them out of PATH."""
    found = [path.parent for path in _PROGRAMS.glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    found += [Path(on_path).resolve().parent] if on_path else []
    return max(found, key=lambda path: int(path.parent.name) if path.parent.name.isdigit() else 0, default=None)


def _program(name: str) -> str:
    directory = _programs()
    assert directory is not None, unavailable()
    return str(directory / name)


def _is_alive(pid: int) -> bool:
    """Tell whether a process is there, and not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
