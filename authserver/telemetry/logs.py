"""Logs: one JSON object a line in production, aligned text with --dev; never a secret, a token or a query string.

Lines are handed to a thread that writes them, so that a slow reader of our output never stops the event loop.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, BinaryIO, Literal

import msgspec
import structlog

#: The id of the request being answered, "" outside of one.
current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")

MAX_PENDING_LINES = 50_000

#: What a pipe takes in one piece, whoever else writes to it (PIPE_BUF on Linux).
PIECE_BYTES = 4096

_GATHER_SECONDS = 0.01

EventDict = MutableMapping[str, Any]

_AMBIGUOUS = re.compile(r'[ ="\\]')


class LineWriter:
    """Writes lines from a thread of its own, in order; past 50,000 waiting lines it drops, counts and says so."""

    def __init__(self, stream: BinaryIO, *, shared: bool = False) -> None:
        """Start the thread, which writes and flushes `stream`; `shared`: so do other processes."""
        self._stream = stream
        self._piece_bytes = PIECE_BYTES if shared else sys.maxsize
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._closed = False
        self.dropped = 0
        self._told = 0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def msg(self, line: bytes) -> None:
        """Queue one line. Never blocks."""
        if len(self._lines) >= MAX_PENDING_LINES:
            self.dropped += 1
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    debug = info = warning = error = critical = exception = msg

    def close(self) -> None:
        """Write what is queued and end the thread."""
        self._closed = True
        self._wake.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not (self._closed and not self._lines):
            self._wake.wait()
            if not self._closed:
                time.sleep(_GATHER_SECONDS)  # one wake-up and one write for all lines of these milliseconds
            self._wake.clear()
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            for block in _blocks(lines, self._piece_bytes):
                self._write(block)
            if self.dropped > self._told and len(self._lines) < MAX_PENDING_LINES // 2:  # there is room to say so
                missing, self._told = self.dropped - self._told, self.dropped
                structlog.get_logger().error("log.lines_dropped", lines=missing)

    def _write(self, block: bytes) -> None:
        try:
            self._stream.write(block)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads, so nobody can be told
            self.dropped += block.count(b"\n")
            self._told = self.dropped


def _blocks(lines: list[bytes], most_bytes: int) -> Iterator[bytes]:
    """Join lines to blocks of at most so many bytes, no line cut."""
    block: list[bytes] = []
    size = 0
    for line in lines:
        if block and size + len(line) >= most_bytes:
            yield b"\n".join(block) + b"\n"
            block, size = [], 0
        block.append(line)
        size += len(line) + 1
    if block:
        yield b"\n".join(block) + b"\n"


def configure_logs(
    *, style: Literal["json", "text"], level: str, stream: BinaryIO | None = None, shared: bool = False
) -> LineWriter:
    """Configure structlog and the standard library's loggers for this process; return the writer to close."""
    writer = LineWriter(stream or sys.stderr.buffer, shared=shared)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    render = _render_text if style == "text" else _render_json
    structlog.configure(
        processors=[structlog.processors.add_log_level, _add_request_id, _add_time, _hide_traceback, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=False,
    )
    _adopt_standard_logging(threshold)
    return writer


def _add_request_id(_: object, __: str, event: EventDict) -> EventDict:
    if "request_id" not in event and (request_id := current_request_id.get()):
        event["request_id"] = request_id
    return event


class _Time:
    """The present time in RFC 3339 with milliseconds; the part up to the second is written once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._prefix = ""

    def __call__(self) -> str:
        second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._prefix = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return f"{self._prefix}{nanoseconds // 1_000_000:03d}+00:00"


_present_time = _Time()


def _add_time(_: object, __: str, event: EventDict) -> EventDict:
    event["time"] = _present_time()
    return event


def _hide_traceback(_: object, __: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and where it was raised: its text may hold what a caller sent."""
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        event["exception"] = type(error).__qualname__
        event["where"] = [
            f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)[-8:]
        ]
    return event


_encode = msgspec.json.Encoder(enc_hook=str).encode


def _render_json(_: object, __: str, event: EventDict) -> bytes:
    try:
        return _encode(event)
    except UnicodeEncodeError:
        return _encode({key: ascii(value) for key, value in event.items()})


def _render_text(_: object, __: str, event: EventDict) -> bytes:
    """Keep one record on one line, no value passing for another field or for a command to the terminal (LOG-01)."""
    time, level, name = event.pop("time")[11:23], event.pop("level"), _printable(event.pop("event"))
    fields = " ".join([f"{key}={_printable(value)}" for key, value in event.items() if value is not None])
    return f"{time} {level:<8} {name:<28} {fields}".rstrip().encode("utf-8", "backslashreplace")


def _printable(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not value.isprintable():
        return ascii(value)
    return msgspec.json.encode(value).decode() if _AMBIGUOUS.search(value) else value


def request_log() -> Callable[[dict[str, object]], None]:
    """Return what writes the one line of each request, as configured now.

    It goes straight to the renderer: structlog's way there costs as much as the rest of an introspection.
    """
    if not structlog.get_logger().bind().is_enabled_for(logging.INFO):
        return lambda _: None
    configuration = structlog.get_config()
    write, render = configuration["logger_factory"]().msg, configuration["processors"][-1]

    def line(fields: dict[str, object]) -> None:
        named = {"event": "request", "level": "info", "time": _present_time()}
        write(render(None, "", {**named, **fields, "request_id": current_request_id.get()}))

    return line


class _ToStructlog(logging.Handler):
    """Carries the warnings of libraries into our log: the logger's name and the text without its arguments."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        error = record.exc_info[1] if record.exc_info else None
        log.log(record.levelno, "library.message", logger=record.name, message=str(record.msg), exc_info=error)


def _adopt_standard_logging(threshold: int) -> None:
    """Let libraries speak from WARNING on: at DEBUG some of them print tokens and statements' parameters."""
    logging.basicConfig(handlers=[_ToStructlog()], level=max(threshold, logging.WARNING), force=True)
    for name in ("authlib", "sqlalchemy", "uvicorn", "alembic", "asyncio"):
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
