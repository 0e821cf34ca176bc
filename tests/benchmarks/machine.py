"""The description of the machine, without anything that names it."""

import os
import platform
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

_KIB_PER_GIB = 1024 * 1024
_MS_PER_SECOND = 1000
_ADDITIONS = 1_000_000
_ROUNDS = 5


def describe_machine() -> dict[str, str]:
    """Return what a reader needs to judge the figures, in the order to show it.

    Ask before the first measurement: the load is then that of others, which makes figures low and uneven.
    """
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "CPU": _first_value(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": _memory(),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Node.js": _node_version(),
        "load at the start": f"{os.getloadavg()[0]:.1f}",
        "a million additions in Python": f"{_additions_ms():.0f} ms",
    }


def _additions_ms() -> float:
    """Time a bare loop: a virtual machine that is throttled today gives half the rates of yesterday."""
    times = []
    for _ in range(_ROUNDS):
        began, total = time.perf_counter(), 0
        for number in range(_ADDITIONS):
            total += number
        times.append(time.perf_counter() - began)
    return median(times) * _MS_PER_SECOND


def _memory() -> str:
    total = _first_value(Path("/proc/meminfo"), "MemTotal")
    return f"{int(total.split()[0]) / _KIB_PER_GIB:.0f} GiB" if total else "unknown"


def _first_value(path: Path, key: str) -> str | None:
    if not path.exists():
        return None
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _node_version() -> str:
    node = shutil.which("node")
    if node is None:
        return "none"
    return (
        subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
        .stdout.strip()
        .removeprefix("v")
    )
