"""The door with limits short enough to wait for, and what every test of it is held to."""

import logging
from collections.abc import Iterator

import pytest

from tests.wire.protocol.door import DOOR, Door


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    """Serve with short deadlines and a body cap of 64 KB."""
    with Door(DOOR).open() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_complaint(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Hold every test to this: no warning, no error, no traceback, nothing of a request in the log (U4)."""
    with caplog.at_level(logging.DEBUG):
        yield
    records = caplog.get_records("call")
    assert [record.getMessage() for record in records if record.levelno > logging.INFO or record.exc_info] == []
    assert not any("evil" in record.getMessage() for record in records)
