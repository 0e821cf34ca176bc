"""The wheel, built from what the image's build context lets in: complete, and served from a place it cannot write."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.documents import ROOT
from tests.server import free_port


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that the wheel was installed into, alone, built as the Dockerfile builds it."""
    top = tmp_path_factory.mktemp("wheel")
    context, target = top / "context", top / "installed"
    for name in _build_context():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, context / name)
    _python("-m", "hatchling", "build", "-t", "wheel", "-d", str(top), cwd=context)
    _python("-m", "pip", "install", "-q", "--no-deps", "--no-index", "-t", str(target), *map(str, top.glob("*.whl")))
    shutil.rmtree(context)
    return target


def test_the_wheel_has_everything_that_is_read_at_run_time(installed: Path) -> None:
    """Every file of the package, whatever its kind, and every migration."""
    package = _files(ROOT / "authserver")
    assert package <= _files(installed / "authserver")
    assert _files(ROOT / "migrations") == _files(installed / "authserver" / "migrations")
    assert {"py.typed", "__main__.py"} <= package


def test_the_wheel_brings_no_test_and_nothing_of_its_makers(installed: Path) -> None:
    """Beside the package there is its metadata, the command and nothing else."""
    top = {path.name.partition("-")[0] for path in installed.iterdir()}
    assert top == {"authserver", "bin"}


def test_a_server_runs_from_the_wheel_and_writes_to_its_data_directory_alone(installed: Path, tmp_path: Path) -> None:
    """`serve --dev` from a place that is read-only: ready, migrated by the wheel's own migrations, ended with 0."""
    before = _snapshot(installed)
    data, cwd = tmp_path / "data", tmp_path / "elsewhere"
    cwd.mkdir()
    with _read_only(installed), _serving(installed, data=data, cwd=cwd) as (process, port):
        assert _ready(port, process)
    assert process.returncode == 0
    assert _snapshot(installed) == before
    assert not list(cwd.iterdir())
    assert {"authserver.db", "secret-key", "admin-token"} <= {path.name for path in data.iterdir()}


def test_the_migrations_used_are_those_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    """An installed package finds its migrations inside of itself, not in a checkout that happens to be near."""
    code = "from authserver.storage.migrate import migrations_directory as d; print(d())"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(installed),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(installed / "authserver" / "migrations")


def _build_context() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def _files(directory: Path) -> set[str]:
    found = (path for path in directory.rglob("*") if path.is_file())
    names = {str(path.relative_to(directory)) for path in found if "__pycache__" not in path.parts}
    return {name for name in names if not name.startswith("migrations/")}


def _snapshot(directory: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in directory.rglob("*")}


def _environment(installed: Path) -> dict[str, str]:
    """Return an environment in which the wheel comes before the checkout that the other tests use."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AUTHSERVER_", "PYTHON"))}
    return {**kept, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}


@contextlib.contextmanager
def _read_only(directory: Path) -> Iterator[None]:
    """Take away the right to write; root, who has it all the same, is caught by the snapshot."""
    paths = [directory, *directory.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@contextlib.contextmanager
def _serving(installed: Path, *, data: Path, cwd: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    environment = {**_environment(installed), "AUTHSERVER_DATA_DIR": str(data)}
    command = [sys.executable, "-m", "authserver", "serve", "--dev", "--port", str(port)]
    with subprocess.Popen(command, env=environment, cwd=cwd, stdout=subprocess.DEVNULL) as process:
        try:
            yield process, port
        finally:
            process.terminate()
            process.wait(20)


def _ready(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == http.client.OK:
                return True
        time.sleep(0.02)
    return False


def _python(*arguments: str, cwd: Path | None = None) -> None:
    subprocess.run([sys.executable, *arguments], cwd=cwd, check=True, capture_output=True)
