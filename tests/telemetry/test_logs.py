"""The log: lines in their order from a thread of its own, bounded, without secrets of exceptions, one line a record."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from authserver.telemetry import logs
from authserver.telemetry.logs import LineWriter, configure_logs, current_request_id

CANARY = "canary-secret"


class Stuck(io.BytesIO):
    """A stream whose reader does not read until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.writes = 0

    def write(self, block: bytes) -> int:  # type: ignore[override]
        """Wait, then keep the block."""
        self.go.wait(10)
        self.writes += 1
        return super().write(block)


class Broken(io.BytesIO):
    """A stream that nobody reads any more."""

    def write(self, _: bytes) -> int:  # type: ignore[override]
        """Fail."""
        raise BrokenPipeError


@contextmanager
def configured(style: Literal["json", "text"], level: str = "debug") -> Iterator[io.BytesIO]:
    """Configure the log onto a stream that can be read once the block is left."""
    stream = io.BytesIO()
    writer = configure_logs(style=style, level=level, stream=stream)
    try:
        yield stream
    finally:
        writer.close()


def record(style: Literal["json", "text"], event: str, **fields: object) -> str:
    """Return what one event looks like in the log."""
    with configured(style) as stream:
        structlog.get_logger().info(event, **fields)
    return stream.getvalue().decode()


def fail() -> None:
    """Raise an error with the canary in its text and in its cause."""
    raise ValueError(f"with {CANARY}") from KeyError(CANARY)


# The writer


def test_order() -> None:
    """Ten thousand lines of one thread come out complete and in their order."""
    stream = io.BytesIO()
    writer = LineWriter(stream)
    for number in range(10_000):
        writer.msg(b"%d" % number)
    writer.close()
    assert stream.getvalue().split() == [b"%d" % number for number in range(10_000)]
    assert writer.dropped == 0


def test_order_from_many_threads() -> None:
    """Lines of several threads are never mixed, lost or doubled, and each thread's keep their order."""
    stream = io.BytesIO()
    writer = LineWriter(stream)

    def speak(name: int) -> None:
        for number in range(2000):
            writer.msg(b"%d %d" % (name, number))

    threads = [threading.Thread(target=speak, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    lines = [tuple(map(int, line.split())) for line in stream.getvalue().splitlines()]
    assert len(lines) == 8000
    for name in range(4):
        assert [number for who, number in lines if who == name] == list(range(2000))


def test_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its bound the writer never waits: it drops, counts, and says how many are missing once it can."""
    monkeypatch.setattr(logs, "MAX_PENDING_LINES", 100)
    stream = Stuck()
    writer = configure_logs(style="json", level="debug", stream=stream)
    writer.msg(b'{"first": 1}')
    time.sleep(0.1)  # the thread has taken it, and is stuck with it
    began = time.monotonic()
    for _ in range(1000):
        writer.msg(b'{"more": 1}')
    assert time.monotonic() - began < 1
    assert writer.dropped == 900
    stream.go.set()
    writer.close()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 102
    assert (lines[-1]["event"], lines[-1]["lines"]) == ("log.lines_dropped", 900)


def test_lines_are_gathered() -> None:
    """Lines of one moment are written together: a write for each would cost as much as a request."""
    stream = Stuck()
    stream.go.set()
    writer = LineWriter(stream)
    for _ in range(500):
        writer.msg(b"x")
    writer.close()
    assert stream.getvalue().count(b"\n") == 500
    assert stream.writes < 50


def test_closing_is_clean() -> None:
    """Closing writes what is queued, ends the thread, and may be done twice."""
    stream = io.BytesIO()
    writer = LineWriter(stream)
    writer.msg(b"last")
    writer.close()
    writer.close()
    assert stream.getvalue() == b"last\n"
    assert not writer._thread.is_alive()


def test_closing_without_a_line() -> None:
    """A log in which nothing was written closes at once."""
    began = time.monotonic()
    LineWriter(io.BytesIO()).close()
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("closed", [False, True])
def test_broken_stream(*, closed: bool) -> None:
    """A log that nobody can read stops nobody: the lines are counted, and closing still ends the thread."""
    stream = io.BytesIO() if closed else Broken()
    writer = configure_logs(style="json", level="debug", stream=stream)
    if closed:
        stream.close()
    for _ in range(5):
        structlog.get_logger().info("request")
    writer.close()
    assert writer.dropped == 5
    assert not writer._thread.is_alive()


# What a line says


def test_json_line() -> None:
    """LOG-01: a record is one JSON object with event, level, time and the id of the request."""
    token = current_request_id.set("id-1")
    try:
        line = record("json", "request", status=200, note=None)
    finally:
        current_request_id.reset(token)
    document = json.loads(line)
    assert document["time"].endswith("+00:00")
    del document["time"]
    expected = {"event": "request", "level": "info", "request_id": "id-1", "status": 200, "note": None}
    assert document == expected


def test_text_line() -> None:
    """The text for people has time, level, event and the fields, without those that say nothing."""
    line = record("text", "request", path="/x", note=None, reason="two words")
    assert line.split(maxsplit=1)[1] == 'info     request                      path=/x reason="two words"\n'


@given(value=st.text(max_size=40), key=st.sampled_from(["client_id", "path", "reason"]))
@pytest.mark.parametrize("style", ["json", "text"])
def test_one_line_whatever_it_holds(style: Literal["json", "text"], key: str, value: str) -> None:
    """LOG-01: any text, half characters and controls among it, stays in one field of one line."""
    line = record(style, "request", **{key: value}, last="end")
    assert line.endswith("\n")
    assert line[:-1].isprintable() or style == "json"
    assert len(line[:-1].split("\n")) == 1
    assert not set(line[:-1]) & set("\r\x1b\x00\x0b\x0c")
    if style == "json":
        assert json.loads(line)["event"].strip("'") == "request"
        return
    assert line.endswith(" last=end\n")
    assert line.count(" last=") == 1 or f'{key}="' in line or f"{key}='" in line


@pytest.mark.parametrize("style", ["json", "text"])
def test_exceptions_keep_their_secrets(style: Literal["json", "text"]) -> None:
    """HTTP-14: of an exception the type and the places are logged, never its text, its cause or a line of source."""
    with configured(style) as stream:
        try:
            fail()
        except ValueError as error:
            structlog.get_logger().error("request.failed", exc_info=error)
    text = stream.getvalue().decode()
    assert "ValueError" in text
    assert "test_logs.py" in text
    assert CANARY not in text
    assert "raise" not in text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("name", ["uvicorn.error", "sqlalchemy.engine", "authlib.oauth2", "asyncio", "some.library"])
def test_libraries(name: str) -> None:
    """LOG-02: libraries speak from WARNING on, without the arguments of their messages and the texts of errors."""
    with configured("json") as stream:
        library = logging.getLogger(name)
        library.debug("Issue token %r", CANARY)
        library.info("parameters: %s", CANARY)
        try:
            fail()
        except ValueError:
            library.exception("failed for %s", CANARY)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line["logger"], line["message"]) for line in lines] == [
        ("library.message", name, "failed for %s")
    ]
    assert lines[0]["exception"] == "ValueError"
    assert CANARY.encode() not in stream.getvalue()


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_levels(level: str, shown: int) -> None:
    """A level shows itself and what is worse."""
    with configured("json", level) as stream:
        log = structlog.get_logger()
        for method in (log.debug, log.info, log.warning, log.error):
            method("x")
    assert len(stream.getvalue().splitlines()) == shown


def test_values_that_are_no_json() -> None:
    """Whatever a field holds, the line is written."""
    line = record("json", "request", kind=ValueError, path=sys, half="\ud800", number=2**70)
    assert "request" in json.loads(line)["event"]
