"""What is said to a program of the bench and heard of it."""

import os
from pathlib import Path

import pytest

from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.talk import talking


def test_a_program_that_ends_is_no_answer(tmp_path: Path) -> None:
    """The error has its last words: nobody waits for one that is gone."""
    with talking("feed_watcher", log=tmp_path / "log", cores=()) as watcher:
        watcher.tell({"source": {}, "client_id": "id", "client_secret": "a secret that is not shown"})
        with pytest.raises(BenchmarkError, match="ConfigurationError") as raised:
            watcher.hear()
    assert "a secret" not in str(raised.value)


def test_a_program_is_gone_when_the_block_is_left(tmp_path: Path) -> None:
    """Also one that waits to be told something."""
    with talking("feed_watcher", log=tmp_path / "log", cores=()) as watcher:
        process = watcher._process
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
