"""What a process has used is read from the system."""

import os
import sys
from pathlib import Path

from tests.benchmarks.processes import pinned, running
from tests.redis_server import wait_for

BUSY = """
import time
time.sleep(0.5)
while time.process_time() < 0.5: pass
print("done", flush=True)
time.sleep(60)
"""


def test_cpu_time_is_what_was_computed_and_not_what_was_slept(tmp_path: Path) -> None:
    """Half a second of work is half a second, however long the process lives."""
    log = tmp_path / "log"
    with running([sys.executable, "-c", BUSY], environment=os.environ, folder=tmp_path, log=log, cores=()) as process:
        wait_for(lambda: "done" in log.read_text(), "the work")
        taken = process.cpu_seconds()
        assert 0.45 <= taken.user + taken.system <= 0.75


def test_a_command_is_bound_to_the_cores_that_are_named() -> None:
    """None named: as it is."""
    assert (pinned(["wrk"], [0, 2]), pinned(["wrk"], [])) == (["taskset", "--cpu-list", "0,2", "wrk"], ["wrk"])
