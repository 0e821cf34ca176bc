"""An old and a new version side by side: the migration first, then one instance after the other, under load."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import pytest

from authserver.storage import migrate
from tests import postgresql
from tests.faults.databases import POSTGRESQL, SQLITE, open_fault_database
from tests.faults.deployment import ISSUER
from tests.faults.load import Caller, Client, Tally
from tests.redis_server import start_redis, wait_for
from tests.server import AUTHSERVER, RunningServer, free_port, header_of, start_server

ROOT = Path(migrate.__file__).resolve().parents[2]

LONG = os.environ.get("FAULTS") == "long"

#: How long the load goes on in each of the five stages of an upgrade: ten minutes in all, in the long form.
STAGE_SECONDS = 120.0 if LONG else 0.5
SQLITE_STAGE_SECONDS = 6.0
#: The part of all answers that may be 503: none, on a machine of the test's own. Beside other tests one that stands
#: still for a quarter of a second makes an introspection say that it cannot know.
BUSY_SHARE = 0.0 if LONG else 0.001
#: Between the rounds of a caller: an instance that starts needs some of the machine, too.
PAUSE_SECONDS = 0.02
#: How many of the acknowledged revocations are asked about in the end, evenly spread.
ASKED = 500

OLD = version("authserver")
NEW = f"{OLD}+next"
NEXT_REVISION = f"{int(migrate.HEAD) + 1:04}"
MIGRATION = f"""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT_REVISION}"
down_revision = "{migrate.HEAD}"
branch_labels = None
depends_on = None
compatible_with = "{{compatible_with}}"


def upgrade():
    op.add_column("clients", sa.Column("nickname", sa.Text))
    op.add_column("clients", sa.Column("rank", sa.Integer, nullable=False, server_default="0"))
    op.create_table("ranks", sa.Column("rank", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
"""
#: Whatever reads clients also reads the new columns: the code needs its own schema.
NEXT_TABLES = """
clients.append_column(Column("nickname", Text))
clients.append_column(Column("rank", Integer, nullable=False, server_default="0"))
ranks = Table("ranks", metadata, Column("rank", Integer, primary_key=True), Column("name", Text))
"""
NEXT_REVISIONS = f'REVISIONS = (*REVISIONS, "{NEXT_REVISION}")\n'


def next_version(directory: Path, *, compatible_with: str) -> dict[str, str]:
    """Build the version after this one, with one more migration; return the environment that runs it."""
    for name in ("authserver", "migrations"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    migration = directory / "migrations" / "versions" / f"{NEXT_REVISION}_nicknames.py"
    migration.write_text(MIGRATION.format(compatible_with=compatible_with))
    module = directory / "authserver" / "storage" / "migrate.py"
    before, head, after = module.read_text().partition("HEAD = ")
    module.write_text(before + NEXT_REVISIONS + head + after)
    with (directory / "authserver" / "storage" / "tables.py").open("a") as tables:
        tables.write(NEXT_TABLES)
    information = directory / f"authserver-{NEW}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: authserver\nVersion: {NEW}\n")
    return {"PYTHONPATH": str(directory)}


def run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of one version."""
    return subprocess.run(
        [AUTHSERVER, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


class Instance:
    """A place in the deployment, at one port: now this version serves there, now that one."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        """Start nothing yet."""
        self._directory = directory
        self._settings: dict[str, Any] = dict(settings)
        self._running = contextlib.ExitStack()
        self.port = free_port()
        self.server: RunningServer

    def start(self, code: Mapping[str, str]) -> None:
        """Start the version that the environment `code` runs, and wait until it is ready."""
        settings = {**self._settings, **code}
        self.server = self._running.enter_context(start_server(self._directory, port=self.port, **settings))

    def stop(self) -> None:
        """Stop in order: the instance says so, goes on for a second, and ends with 0."""
        assert self.server.stop() == 0
        self._running.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def is_ready(self) -> bool:
        """Tell whether it is ready and lacks nothing."""
        return bool(self.server.get("/health/ready").json() == {"status": "ready"})

    def version(self) -> str:
        """Return which version serves."""
        return str(self.server.admin("GET", "/status").json()["version"])


class Traffic:
    """Callers of two instances, until the block is left. An instance that is being restarted may be away."""

    def __init__(self, one: RunningServer, two: RunningServer, client: Client) -> None:
        """Speak as `client`; `tally` has what was told."""
        self.tally = Tally()
        self.away: int | None = None  # the port
        self._pairs = [(one, two), (two, one)]
        self._client = client
        self._revoked, self._live = one.token(client), one.token(client)
        assert one.revoke(self._revoked, client).status == 200
        self._over = threading.Event()

    @contextlib.contextmanager
    def flowing(self) -> Iterator[Traffic]:
        """Let each instance be asked by two callers; what they find wrong is in the tally."""
        works = [(work, *pair) for work in (self._read, self._revoke) for pair in self._pairs]
        threads = [threading.Thread(target=self._work, args=work) for work in works]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
        self._judge()

    def _judge(self) -> None:
        """Require that no request failed but at the instance that was away, and that no revocation was lost."""
        assert self.tally.wrong == []
        answers = self.tally.statuses
        busy = sum(number for outcome, number in answers.items() if outcome.endswith(" 503"))
        assert busy <= BUSY_SHARE * answers.total(), answers
        acknowledged = self.tally.acknowledged
        asked = acknowledged[:: len(acknowledged) // ASKED + 1]
        for server, _ in self._pairs:
            with contextlib.closing(Caller(server, self._client, Tally())) as caller:
                assert [token for token in asked if caller.introspect(token) is not False] == []

    def _work(self, work: Any, here: RunningServer, there: RunningServer) -> None:
        with (
            contextlib.closing(Watched(here, self._client, self)) as one,
            contextlib.closing(Watched(there, self._client, self)) as other,
        ):
            while not self._over.is_set():
                try:
                    work(one, other)
                except ConnectionError:
                    other.close()  # before the server does, to which it says nothing meanwhile
                    time.sleep(PAUSE_SECONDS)
                except Exception as error:  # noqa: BLE001 - told in the end, in the test's own thread
                    self.tally.wrong.append(repr(error))

    def _read(self, here: Watched, there: Watched) -> None:
        here.expect(self._revoked, active=False)
        here.expect(self._live, active=True)
        fresh = here.token()
        if fresh is not None:
            there.expect(fresh, active=True)
        time.sleep(PAUSE_SECONDS)

    def _revoke(self, here: Watched, there: Watched) -> None:
        token = here.token()
        if token is not None and here.revoke(token):
            there.expect(token, active=False)
            here.expect(token, active=False)
        time.sleep(PAUSE_SECONDS)


class Watched(Caller):
    """A caller to whom nothing may happen, unless its instance is away."""

    def __init__(self, server: RunningServer, client: Client, traffic: Traffic) -> None:
        """Note in the tally of `traffic`."""
        super().__init__(server, client, traffic.tally)
        self._port = server.port
        self._traffic = traffic

    def post(self, path: str, **fields: str) -> tuple[int, Any]:
        """Return status and JSON body; note what is neither 200 nor 503, and what broke for no reason."""
        away = {self._traffic.away}
        try:
            status, answer = super().post(path, **fields)
        except ConnectionError as error:
            if self._port not in away | {self._traffic.away}:
                self._tally.wrong.append(f"{path}: {error!r}")
            raise
        if status not in {200, 503}:
            self._tally.wrong.append(f"{path}: {status} {answer}")
        return status, answer


def restart(instance: Instance, code: Mapping[str, str], traffic: Traffic) -> None:
    """Stop an instance and start a version in its place."""
    traffic.away = instance.port
    instance.stop()
    instance.start(code)
    traffic.away = None


def work_together(one: Instance, two: Instance) -> None:
    """Change secrets and keys on each of both, and find them changed on the other at once."""
    for here, there in ((one.server, two.server), (two.server, one.server)):
        _rotate_secret(here, there)
        _rotate_keys(here, there)


def _rotate_secret(here: RunningServer, there: RunningServer) -> None:
    client = here.create_client()
    there.token(client)
    path = f"/clients/{client['client_id']}/secrets"
    fresh = {**client, **here.admin("POST", path).json()}
    wait_for(lambda: there.token_response(fresh).status == 200, "the new secret to work", 1)
    there.token(client)
    assert there.admin("POST", f"{path}/complete").status < 300
    wait_for(lambda: here.token_response(client).status == 401, "the old secret to end", 1)
    here.token(fresh)


def _rotate_keys(here: RunningServer, there: RunningServer) -> None:
    client = here.create_client()
    before = header_of(here.token(client))["kid"]
    assert here.admin("POST", "/signing-keys/rotate", {"alg": "ES256", "force": True}).status == 200
    token = here.token(client)
    kid = header_of(token)["kid"]
    assert kid != before
    assert there.introspect(token, client).json()["active"] is True
    assert kid in {key["kid"] for key in there.get("/.well-known/jwks.json").json()["keys"]}
    wait_for(lambda: header_of(there.token(client))["kid"] == kid, "the other one to sign with the new key", 1)


@contextlib.contextmanager
def running_instances(directory: Path, settings: Mapping[str, str]) -> Iterator[tuple[Instance, Instance]]:
    """Run two instances of this version; whatever runs in their place is stopped when the block is left."""
    common = {
        "AUTHSERVER_ISSUER": ISSUER,
        "AUTHSERVER_SHUTDOWN_DELAY_SECONDS": "1",
        "AUTHSERVER_KEY_PUBLISH_LEAD_SECONDS": "0",
        "AUTHSERVER_JWKS_MAX_AGE_SECONDS": "0",
    }
    with contextlib.ExitStack() as stack:
        instances = Instance(directory, {**common, **settings}), Instance(directory, {**common, **settings})
        for instance in instances:
            stack.enter_context(instance)
            instance.start({})
        yield instances


def roll(directory: Path, kind: str, *, stage_seconds: float) -> None:
    """Migrate, restart one instance as new, the other as old and then as new; require that nobody noticed."""
    data_dir = directory / "data"
    data_dir.mkdir(mode=0o700)
    new = next_version(directory / "next", compatible_with=migrate.HEAD)
    with (
        open_fault_database(kind, data_dir) as database,
        start_redis() as redis,
        running_instances(data_dir, {**database.settings(), "AUTHSERVER_REDIS_URL": redis.url}) as (a, b),
        Traffic(a.server, b.server, a.server.create_client()).flowing() as traffic,
    ):

        def migrate_up() -> None:
            migrated = run({**a.server.environment, **new}, "migrate", "up")
            assert migrated.stdout == f"The database is at revision {NEXT_REVISION}, the newest.\n", migrated

        steps: list[tuple[Callable[[], None], str, str]] = [
            (lambda: None, OLD, OLD),
            (migrate_up, OLD, OLD),
            (lambda: restart(b, new, traffic), OLD, NEW),
            (lambda: restart(a, {}, traffic), OLD, NEW),
            (lambda: restart(a, new, traffic), NEW, NEW),
        ]
        for step, version_a, version_b in steps:
            step()
            assert (a.version(), b.version()) == (version_a, version_b)
            work_together(a, b)
            for instance in (a, b):
                wait_for(instance.is_ready, "the instance to be ready, and to use Redis", 2)
            time.sleep(stage_seconds)
        assert database.rows("SELECT version_num FROM alembic_version") == [(NEXT_REVISION,)]


@pytest.mark.skipif(postgresql.unavailable() is not None, reason=str(postgresql.unavailable()))
def test_mig_01_an_upgrade_that_rolls(tmp_path: Path) -> None:
    """MIG-01: old and new version side by side, also an old one that starts after the migration: 0 errors."""
    roll(tmp_path, POSTGRESQL, stage_seconds=STAGE_SECONDS)


@pytest.mark.slow
def test_mig_01_an_upgrade_that_rolls_on_sqlite(tmp_path: Path) -> None:
    """MIG-01: the same on one file."""
    roll(tmp_path, SQLITE, stage_seconds=SQLITE_STAGE_SECONDS)


def test_mig_01_what_is_not_compatible_keeps_an_old_version_out(tmp_path: Path) -> None:
    """MIG-01, MIG-03: after a migration that old code cannot live with, it refuses in one line and changes nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSERVER_")}
    environment["AUTHSERVER_DATA_DIR"] = str(tmp_path / "data")
    new = next_version(tmp_path / "next", compatible_with=NEXT_REVISION)
    assert run(environment, "migrate", "up").returncode == 0
    assert run({**environment, **new}, "migrate", "up").returncode == 0
    before = (tmp_path / "data" / "authserver.db").read_bytes()
    for arguments in (["serve", "--dev", "--port", "0"], ["migrate", "up"]):
        done = run(environment, *arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
        assert f"the database is at revision {NEXT_REVISION}, this version knows up to {migrate.HEAD}" in done.stderr
    assert (tmp_path / "data" / "authserver.db").read_bytes() == before
