"""Terminals as a reader of the documentation has them: one to type in, others in which something runs."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.redis_server import wait_for

COMMAND_SECONDS = 60.0
START_SECONDS = 30.0

_END = "---end-of-output---"


class Terminal:
    """A shell that keeps its variables from one command to the next."""

    def __init__(self, shell: subprocess.Popen[str]) -> None:
        self._shell = shell

    def run(self, command: str) -> str:
        """Run a command; return what it prints, errors among it. One that never ends is a failure."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        watchdog = threading.Timer(COMMAND_SECONDS, self._shell.kill)
        watchdog.start()
        try:
            self._shell.stdin.write(f"{command}\necho {_END}\n")
            self._shell.stdin.flush()
            output = ""
            for line in self._shell.stdout:
                output += line
                if output.endswith(f"{_END}\n"):
                    return output.removesuffix(f"{_END}\n")
        finally:
            watchdog.cancel()
        raise AssertionError(f"the shell ended at: {command}\n{output}")


@contextlib.contextmanager
def terminal(directory: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Open a terminal in a directory."""
    with subprocess.Popen(
        ["bash"],
        cwd=directory,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as shell:
        yield Terminal(shell)


@contextlib.contextmanager
def service(command: str, directory: Path, environment: Mapping[str, str], *, port: int) -> Iterator[None]:
    """Run a command that serves on a port, from when it does until the block is left."""
    output = directory / "service.log"
    with (
        output.open("wb") as log,
        subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            wait_for(lambda: process.poll() is not None or _is_open(port), command, START_SECONDS)
            assert process.poll() is None, output.read_text()
            yield
        finally:
            process.terminate()


def _is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
