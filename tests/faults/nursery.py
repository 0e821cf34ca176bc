"""Starts servers by forking a process that has loaded the program already: a start takes a tenth of a second.

`python -m tests.faults.nursery` reads a line of JSON for each server, `{"arguments", "environment", "log"}`, and writes
its process id. What then runs is the product's own command line, unchanged.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.server import RunningServer

START_SECONDS = 20

#: What the program loads when it needs it: the forked process has it already.
PRELOADED = (
    "alembic.command",
    "aiosqlite",
    "authserver.app.serving",
    "authserver.cli.serve",
    "authserver.storage.redis_beacon",
    "redis.asyncio.cluster",
    "authserver.storage.postgresql",
    "authserver.storage.sqlite",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "starlette.routing",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.server",
    "uvloop",
)


@dataclass
class Offspring:
    """A server that was forked: its process id, and whether it still runs."""

    pid: int

    def kill(self) -> None:
        """End it as by kill -9, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        while Path(f"/proc/{self.pid}").exists():
            time.sleep(0.001)


class Nursery:
    """Forks servers on demand."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Talk to `process`."""
        self._process = process

    def start(self, like: RunningServer, port: int, **settings: str) -> Offspring:
        """Start a server with the settings of `like`, on another port; return once it answers."""
        order = {
            "arguments": ["serve", "--dev", "--port", str(port)],
            "environment": {**like.environment, **settings},
            "log": str(like.data_dir / f"server-{port}.log"),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        offspring = Offspring(int(self._process.stdout.readline()))
        self._wait(offspring, port, Path(str(order["log"])))
        return offspring

    def _wait(self, offspring: Offspring, port: int, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and Path(f"/proc/{offspring.pid}").exists():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
                connection.request("GET", "/health/ready")
                if connection.getresponse().status == 200:
                    return
            time.sleep(0.005)
        raise AssertionError(f"the server did not start:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def open_nursery() -> Iterator[Nursery]:
    """Run a nursery until the block is left; what it has started is ended by then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Nursery(process)
    finally:
        process.communicate()


def main() -> None:
    """Fork one server for each line; end them all when there are no more lines."""
    serve = importlib.import_module("authserver.cli.program").program
    for name in PRELOADED:
        importlib.import_module(name)

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children: list[int] = []
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
            serve(prog_name="authserver")
            os._exit(0)
        children.append(pid)
        print(pid, flush=True)
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _become(order: dict[str, object]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(str(order["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, number in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, number)
    os.environ.clear()
    os.environ.update(order["environment"])  # type: ignore[call-overload]
    sys.argv = ["authserver", *order["arguments"]]  # type: ignore[misc]


if __name__ == "__main__":
    main()
