"""`make demo`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[2] / "docs" / "demo.py"


def test_the_demo_does_the_whole_job_and_shows_no_token() -> None:
    """Every step runs against a server of its own; the last answer is inactive; tokens are cut short."""
    done = subprocess.run([sys.executable, DEMO], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '{ "user_id": {{ client.trusted_metadata.stytch_user_id }} }' in done.stdout
    assert '"active": false' in done.stdout
    assert done.stdout.endswith("Everything is as expected.\n")
    assert not re.search(r"eyJ[\w-]{30}|cs_\w{20}", done.stdout)
