"""Talking with a program of ours in a process of its own: one line of JSON after another, both ways."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.processes import pinned, stop

_PROJECT = Path(__file__).parents[2]
_SHOWN_CHARACTERS = 500


class Talk:
    """The other process, as the bench speaks to it."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        """Speak to `process`, whose standard error goes to `log`."""
        self._process = process
        self._log = log

    def tell(self, message: object) -> None:
        """Send a message; BenchmarkError when the process has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{json.dumps(message)}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def hear(self) -> Any:
        """Wait for the next message and return it; BenchmarkError when the process ends instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        return json.loads(line)

    def _ended(self) -> BenchmarkError:
        words = self._log.read_text(encoding="utf-8", errors="replace").strip()
        return BenchmarkError(f"a program of the bench ended: {words[-_SHOWN_CHARACTERS:] or 'no output'}")


@contextmanager
def talking(program: str, *, log: Path, cores: Sequence[int]) -> Iterator[Talk]:
    """Run the module `program` of tests.benchmarks.programs on `cores` until the block ends."""
    command = [sys.executable, "-m", f"tests.benchmarks.programs.{program}"]
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            pinned(command, cores),
            cwd=_PROJECT,
            env=dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Talk(process, log)
        finally:
            stop(process)


def hear() -> Any:
    """Return the next message of the bench, in a program that it runs; end the program when there is none."""
    line = sys.stdin.readline()
    if not line:
        sys.exit()
    return json.loads(line)


def tell(message: object) -> None:
    """Send the bench a message, in a program that it runs."""
    print(json.dumps(message), flush=True)
