"""Thousands of bad requests at once against one instance: little memory, and good ones are answered meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.floods import BOUND_BYTES, flood, unfinished_head
from tests.server import start_server

IS_LONG = os.environ.get("FAULTS") == "long"
REQUESTS = 10_000 if IS_LONG else 1_700

#: How long the server waits for what a caller still owes it: the default in the long form.
REQUEST_SECONDS = 10 if IS_LONG else 3

#: Each of them would hold half a megabyte.
HEADS = 300

#: An honest caller waits behind the bad requests that came at the same moment; `make faults` reports for how long.
GOOD_SECONDS = 15.0


def test_crash_04_a_flood_of_bad_requests(tmp_path: Path) -> None:
    """CRASH-04: huge heads and bodies, deep JSON, half-sent, slow, wrong: memory is bounded and service goes on."""
    with start_server(tmp_path, AUTHSERVER_REQUEST_SECONDS=str(REQUEST_SECONDS)) as server:
        client = server.create_client()
        report = flood(server, client, requests=REQUESTS)
        assert server.process.poll() is None
        assert server.introspect(server.token(client), client).json()["active"] is True
        log = server.log()
    assert report.answers.total() == REQUESTS
    assert set(report.answers) <= {0, 200, 400, 401, 408, 413, 422, 429, 431, 503}
    assert report.growth_bytes < BOUND_BYTES
    assert report.good[200] > 0
    assert set(report.good) <= {200, 503}
    assert max([*report.good_seconds, *report.health_seconds]) < GOOD_SECONDS
    assert '"level":"error"' not in log
    assert "Traceback" not in log


def test_crash_04_unfinished_heads(tmp_path: Path) -> None:
    """CRASH-04: thousands of header fields that do not end are refused as they come, not kept until the deadline."""
    with start_server(tmp_path) as server:
        client = server.create_client()
        report = flood(server, client, requests=HEADS, kinds=[unfinished_head()])
    assert report.answers == {431: HEADS}
    assert report.growth_bytes < HEADS * 64_000
