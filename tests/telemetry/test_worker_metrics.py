"""What several workers have in common: counters that add up, and a log whose lines stay whole."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from authserver.telemetry.logs import PIECE_BYTES, LineWriter

#: One worker: it counts what it is told and prints what it shows; counting in files is for the whole process.
_WORKER = """
import sys
from authserver.telemetry.metrics import Metrics
from authserver.telemetry.worker_metrics import join_workers
metrics = Metrics(workers=join_workers(sys.argv[1], int(sys.argv[2])))
metrics.gauge("clients_held", "Clients held in memory.", lambda: float(sys.argv[2]))
for _ in range(int(sys.argv[3])):
    metrics.count_token_request("c", "issued")
    metrics.observe_request("token", 200, 0.003)
sys.stdout.write(metrics.exposition().decode())
"""


def shown(directory: Path, worker: int, requests: int) -> dict[str, float]:
    """Run a worker that counts so many requests; return what it then shows, without labels."""
    command = [sys.executable, "-c", _WORKER, str(directory), str(worker), str(requests)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


def test_counters_add_up(tmp_path: Path) -> None:
    """Each worker shows what all have counted; one in the place of another counts on from there."""
    assert shown(tmp_path, 1, 3)["authserver_token_requests_total"] == 3
    assert shown(tmp_path, 2, 4)["authserver_token_requests_total"] == 7
    again = shown(tmp_path, 1, 5)
    assert again["authserver_token_requests_total"] == again["authserver_requests_total"] == 12
    assert again["authserver_request_seconds_count"] == 12
    assert again["authserver_clients_held"] == 1


class Pieces(io.BytesIO):
    """A stream that keeps what it is given in one go."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, block: bytes) -> int:  # type: ignore[override]
        """Keep the block."""
        self.written.append(block)
        return len(block)


def test_log_lines_of_several_processes_stay_whole() -> None:
    """What goes to a stream that others write to as well is whole lines, in pieces that a pipe takes at once."""
    stream = Pieces()
    writer = LineWriter(stream, shared=True)
    lines = [b"%d" % number * 40 for number in range(1000)] + [b"x" * 2 * PIECE_BYTES, b"end"]
    for line in lines:
        writer.msg(line)
    writer.close()
    assert b"".join(stream.written).splitlines() == lines
    assert all(block.endswith(b"\n") for block in stream.written)
    assert all(len(block) <= PIECE_BYTES for block in stream.written if b"x" not in block)
