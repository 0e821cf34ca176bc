"""Starting, pinning to cores, weighing and stopping processes, each by its own id."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.figures import CpuSeconds

LOOPBACK = "127.0.0.1"

_STOP_SECONDS = 10
_LOG_LINES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Cores:
    """The cores that servers run on and the one that the load comes from; none named means any."""

    server: Sequence[int] = ()
    load: Sequence[int] = ()


def choose_cores(*, pinning: bool, for_server: int = 1) -> Cores:
    """Return cores for servers and another for load, if that is wanted and there are so many and taskset."""
    available = sorted(os.sched_getaffinity(0))
    if not pinning or len(available) <= for_server or shutil.which("taskset") is None:
        return Cores()
    return Cores(server=available[:for_server], load=available[-1:])


def pinned(command: Sequence[str], cores: Sequence[int]) -> list[str]:
    """Return `command` so that it runs on `cores` alone, or on any when none is named."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *command] if cores else list(command)


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A process that was started here, and the file that its output goes to."""

    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise BenchmarkError, with the last lines of the log, when the process has ended."""
        code = self.process.poll()
        if code is not None:
            raise BenchmarkError(f"the server ended with code {code}: {self.last_words()}")

    def last_words(self) -> str:
        """Return the last lines of the log in one line."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " | ".join(lines[-_LOG_LINES_SHOWN:]) or "no output"

    def resident_megabytes(self) -> float:
        """Return the memory that the process and its children hold now (RSS, in MB of 10⁶ bytes)."""
        return sum(resident_bytes(pid) for pid in _family(self.process.pid)) / 1_000_000

    def cpu_seconds(self) -> CpuSeconds:
        """Return the CPU time that the process and its children have taken until now."""
        return sum((_cpu_seconds(pid) for pid in _family(self.process.pid)), CpuSeconds())


@dataclass(frozen=True, slots=True)
class Processes:
    """Several processes that answer a request together."""

    members: Sequence[RunningProcess]

    def cpu_seconds(self) -> CpuSeconds:
        """Return the CPU time that all of them have taken until now."""
        return sum((member.cpu_seconds() for member in self.members), CpuSeconds())


@contextmanager
def running(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path, cores: Sequence[int]
) -> Iterator[RunningProcess]:
    """Run `command` in `folder` on `cores` until the block ends, then stop it by SIGTERM.

    The process leads a session of its own, so that Ctrl-C reaches only the bench, which then stops it.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            pinned(command, cores),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield RunningProcess(process, log)
    finally:
        stop(process)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt, so that everything started here is stopped."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stop(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a process by SIGTERM, or by SIGKILL when that takes too long."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    own = [int(child) for child in children.read_text(encoding="ascii").split()] if children.exists() else []
    return [pid, *(member for child in own for member in _family(child))]


def resident_bytes(pid: int) -> int:
    """Return the memory that one process holds now (RSS)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cpu_seconds(pid: int) -> CpuSeconds:
    """Return utime and stime of all threads, ended ones too (proc(5): fields 14 and 15; the name may hold spaces)."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return CpuSeconds(int(after_name[11]) / ticks, int(after_name[12]) / ticks)
