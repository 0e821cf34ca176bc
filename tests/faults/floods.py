"""Thousands of callers at once, none of whom means well: what they are told, and what the server pays for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import resource
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.server import FORM, RunningServer, basic, credentials

#: By how much the server may grow: what an honest one of 100 MB can spare in a small container.
BOUND_BYTES = 150_000_000

#: How long a caller keeps on when nobody ends its connection, and how long it waits for its answer.
PATIENCE_SECONDS = 60.0
DRIP_SECONDS = 0.2
BODY_BYTES = 5_000_000
_PIECE = b"x" * 65_536

Bad = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class FloodReport:
    """What a flood did. `answers` counts the status of each bad request, 0 for a connection that just ended."""

    answers: Counter[int] = field(default_factory=Counter)
    good: Counter[int] = field(default_factory=Counter)
    good_seconds: list[float] = field(default_factory=list)
    health_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0
    rss_before: int = 0
    rss_peak: int = 0
    rss_after: int = 0

    @property
    def growth_bytes(self) -> int:
        """Return by how much the resident memory was greater at its peak than before."""
        return self.rss_peak - self.rss_before


def flood(server: RunningServer, client: dict[str, Any], *, requests: int, kinds: Sequence[Bad] = ()) -> FloodReport:
    """Send so many bad requests at once, each on a connection of its own; ask for tokens meanwhile.

    They are of all kinds, or of `kinds`.
    """
    report = FloodReport(rss_before=server.rss_bytes())
    _forget_peak(server)
    with _many_files(requests + 200):
        asyncio.run(_flood(server, client, requests, kinds or bad_requests(server, client), report))
    report.rss_peak = _peak_bytes(server)
    report.rss_after = server.rss_bytes()
    return report


async def _flood(
    server: RunningServer, client: dict[str, Any], requests: int, kinds: Sequence[Bad], report: FloodReport
) -> None:
    chosen = [kinds[number % len(kinds)] for number in range(requests)]
    random.Random(requests).shuffle(chosen)
    started = time.monotonic()
    over = asyncio.Event()
    good = [asyncio.create_task(work(server, client, report, over)) for work in (_ask_for_tokens, _ask_for_health)]
    async with asyncio.TaskGroup() as group:
        for bad in chosen:
            group.create_task(_behave(server.port, bad, report))
    report.seconds = time.monotonic() - started
    over.set()
    await asyncio.gather(*good)


async def _behave(port: int, bad: Bad, report: FloodReport) -> None:
    """Send one bad request, and read what comes until the server ends the connection."""
    status = 0
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                sending = asyncio.create_task(_send(bad, reader, writer))
                line = await reader.readline()
                status = int(line.split()[1]) if line.startswith(b"HTTP/1.1 ") else 0
                await sending
            finally:
                writer.transport.abort()
    report.answers[status] += 1


async def _send(bad: Bad, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        await bad(reader, writer)


async def _ask_for_tokens(
    server: RunningServer, client: dict[str, Any], report: FloodReport, over: asyncio.Event
) -> None:
    """Be an honest client."""
    while not over.is_set():
        started = time.monotonic()
        status = (await asyncio.to_thread(server.token_response, client)).status
        report.good[status] += 1
        report.good_seconds.append(time.monotonic() - started)
        await asyncio.sleep(0.05)


async def _ask_for_health(
    server: RunningServer, client: dict[str, Any], report: FloodReport, over: asyncio.Event
) -> None:
    """Be an orchestrator."""
    while not over.is_set():
        started = time.monotonic()
        assert (await asyncio.to_thread(server.get, "/health/live")).status == 200
        report.health_seconds.append(time.monotonic() - started)
        await asyncio.sleep(0.05)


def bad_requests(server: RunningServer, client: dict[str, Any]) -> list[Bad]:
    """Return one of each kind."""
    form = f"Host: as.example\r\nContent-Type: {FORM}\r\n".encode()
    token = b"POST /oauth2/token HTTP/1.1\r\n" + form
    known = b"Authorization: " + basic(*credentials(client)).encode() + b"\r\n"
    admin = b"POST /admin/v1/clients HTTP/1.1\r\nHost: as.example\r\nContent-Type: application/json\r\n"
    admin += f"Authorization: Bearer {server.admin_token}\r\n".encode()
    deep = b'{"trusted_metadata":' + b"[" * 30_000 + b"]" * 30_000 + b"}"
    wide = json.dumps({"client_name": "x", **{f"field{number}": number for number in range(300)}}).encode()
    guess = b"grant_type=client_credentials&scope=" + b"a%20" * 10_000
    introspect = b"POST /oauth2/introspect HTTP/1.1\r\n" + form + known
    return [
        _whole(token + b"X: " + b"h" * 200_000 + b"\r\n\r\n"),
        _whole(token + b"X: h\r\n" * 5000 + b"\r\n"),
        _endless(token + b"Content-Length: %d\r\n\r\n" % BODY_BYTES),
        _endless(token + b"Transfer-Encoding: chunked\r\n\r\n", chunked=True),
        _whole(_with_body(admin, deep)),
        _whole(_with_body(admin, wide)),
        _whole(_with_body(introspect, b"token=" + b"e30." * 12_000)),
        _whole(_with_body(introspect, b"token=eyJhbGciOiJub25lIn0.e30.")),
        _whole(_with_body(token + b"Authorization: Basic bm9ib2R5OmtleQ==\r\n", guess)),
        _whole(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        _whole(token[:40]),
        unfinished_head(),
        _whole(token + known + b"Content-Length: 100\r\n\r\ngrant_type="),
        _hung_up(token + known + b"Content-Length: 60000\r\n\r\n" + b"grant_type=" * 3000),
        _dripping(b"GET /health/live HTTP/1.1\r\nX: " + b"a" * 1000),
        _dripping(token + known + b"Content-Length: 1000\r\n\r\n" + b"a" * 999),
        _unread(b"GET /openapi.json HTTP/1.1\r\nHost: as.example\r\n\r\n" * 30),
    ]


def unfinished_head() -> Bad:
    """Return a head of thousands of fields without an end."""
    return _whole(b"POST /oauth2/token HTTP/1.1\r\nHost: as.example\r\n" + b"X: h\r\n" * 5000)


def _with_body(head: bytes, body: bytes) -> bytes:
    return head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _whole(data: bytes) -> Bad:
    """Send it at once, then wait."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return send


def _endless(head: bytes, *, chunked: bool = False) -> Bad:
    """Send a body of 5 MB, as much of it as is taken."""
    piece = b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE) if chunked else _PIECE

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _piece in range(BODY_BYTES // len(_PIECE)):
            writer.write(piece)
            await writer.drain()

    return send


def _hung_up(data: bytes) -> Bad:
    """Send it and leave."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return send


def _dripping(data: bytes) -> Bad:
    """Send a byte now and then."""

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in data:
            if writer.is_closing():
                return
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(DRIP_SECONDS)

    return send


def _unread(data: bytes) -> Bad:
    """Ask for much and read one line of it."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined] # StreamWriter does not know its kind
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(1)
        writer.transport.resume_reading()  # type: ignore[attr-defined] # as above

    return send


def _forget_peak(server: RunningServer) -> None:
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def _peak_bytes(server: RunningServer) -> int:
    """Return the most that was ever resident since the peak was forgotten (VmHWM)."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@contextlib.contextmanager
def _many_files(wanted: int) -> Iterator[None]:
    """Raise this process's limit of open files until the block is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"at most {hard} open files are allowed here"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
