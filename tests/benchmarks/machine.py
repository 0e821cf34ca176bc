"""The description of the machine, without anything that names it."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

_KIB_PER_GIB = 1024 * 1024


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
    }


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
