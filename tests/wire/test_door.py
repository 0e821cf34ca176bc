"""The front door around endpoints that fail, hang up or know nothing: always an answer, never what was in the error."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Literal

import pytest

from authserver.core.errors import InvalidClient, ServerError, TemporarilyUnavailable
from authserver.telemetry.logs import configure_logs
from authserver.telemetry.metrics import Metrics
from authserver.wire.answers import json_answer
from authserver.wire.door import FrontDoor, TrustedProxies
from authserver.wire.http import Answer, ClientGone, Receive, Request, Scope, Send

CANARY = "canary-secret"


@dataclass
class Endpoint:
    """An endpoint that raises what it is given, or answers."""

    error: BaseException | None = None
    methods: frozenset[str] | None = frozenset({"GET", "POST"})

    async def __call__(self, request: Request) -> Answer:
        """Raise from the bottom of a call with the canary among its values."""
        if self.error is None:
            return json_answer({"address": request.address})
        secret = CANARY
        raise self.error from ValueError(f"the cause names {secret}")


@dataclass
class Exchange:
    """One request through a door, and all that came of it."""

    door: FrontDoor
    sent: list[MutableMapping[str, Any]] = field(default_factory=list)

    def ask(self, path: bytes, *headers: tuple[bytes, bytes], peer: str = "127.0.0.1", method: str = "GET") -> Exchange:
        """Send one request."""
        scope = {
            "type": "http",
            "method": method,
            "path": path.decode("latin-1"),
            "raw_path": path,
            "query_string": CANARY.encode(),
            "headers": list(headers),
            "client": (peer, 1),
        }

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": CANARY.encode(), "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            self.sent.append(message)

        asyncio.run(self.door(scope, receive, send))
        return self

    @property
    def status(self) -> int:
        """Return the status sent."""
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Return the headers sent."""
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        """Return the body sent."""
        return b"".join(message.get("body", b"") for message in self.sent)


@pytest.fixture(params=["json", "text"])
def log(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Yield what reads the log, in each of the two styles at DEBUG."""
    style: Literal["json", "text"] = request.param
    stream = io.BytesIO()
    writer = configure_logs(style=style, level="debug", stream=stream)

    def read() -> str:
        writer.close()
        return stream.getvalue().decode()

    yield read
    writer.close()


def door(
    endpoint: Endpoint,
    fallback: Callable[[Scope, Receive, Send], Awaitable[None]] | None = None,
    proxies: TrustedProxies | None = None,
) -> Exchange:
    """Return a door with one endpoint at `/x`."""
    table = {b"/x": ("x", endpoint)}
    return Exchange(FrontDoor(table=table, fallback=fallback, metrics=Metrics(), proxies=proxies or TrustedProxies()))


def failing(error: Exception, *, after_start: bool = False) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return an ASGI application that raises."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if after_start:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    return application


FAILURES = [ValueError(CANARY), KeyError(CANARY), RuntimeError({"client_secret": CANARY}), RecursionError(CANARY)]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_failing_endpoint(log: Callable[[], str], error: Exception) -> None:
    """HTTP-14: an exception with a secret is a general 500; its type and place are logged, its text is not."""
    exchange = door(Endpoint(error)).ask(b"/x", (b"authorization", CANARY.encode()))
    body = json.loads(exchange.body)
    assert (exchange.status, body["error"]) == (500, "server_error")
    assert exchange.headers[b"cache-control"] == b"no-store"
    text = log()
    assert CANARY not in exchange.body.decode() + text
    assert {type(error).__name__, body["request_id"]} <= set(text.replace('"', " ").replace("=", " ").split())
    assert "test_door.py" in text
    assert "Traceback" not in text


def test_failing_application(log: Callable[[], str]) -> None:
    """HTTP-14: the same for the management API behind the door."""
    exchange = door(Endpoint(), failing(ValueError(CANARY))).ask(b"/admin/v1/clients")
    assert (exchange.status, json.loads(exchange.body)["error"]) == (500, "server_error")
    assert exchange.headers[b"x-content-type-options"] == b"nosniff"
    text = log()
    assert "request.failed" in text
    assert CANARY not in exchange.body.decode() + text


def test_failure_after_the_start(log: Callable[[], str]) -> None:
    """HTTP-14: half an answer is not completed with an error: the connection ends."""
    exchange = door(Endpoint(), failing(ValueError(CANARY), after_start=True))
    with pytest.raises(ConnectionAbortedError):
        exchange.ask(b"/admin/v1/clients")
    assert len(exchange.sent) == 1
    assert CANARY not in log()


def test_reason_is_for_the_log_only(log: Callable[[], str]) -> None:
    """U2: the precise reason of an error stands in the log, the caller reads the general text."""
    exchange = door(Endpoint(InvalidClient("the secret expired"))).ask(b"/x")
    assert exchange.status == 401
    assert b"expired" not in exchange.body
    assert "the secret expired" in log()


@pytest.mark.parametrize(("error", "is_failure"), [(ServerError("why"), True), (TemporarilyUnavailable("why"), False)])
def test_only_our_faults_are_errors(log: Callable[[], str], error: Exception, *, is_failure: bool) -> None:
    """U1: a dependency that is away is no fault of the code, and raises no alarm as one."""
    assert door(Endpoint(error)).ask(b"/x").status in {500, 503}
    assert ("request.failed" in log()) == is_failure


def test_client_that_left(log: Callable[[], str]) -> None:
    """HTTP-09: whoever hung up gets no answer, and is a line with status 499."""
    assert door(Endpoint(ClientGone())).ask(b"/x").sent == []
    assert door(Endpoint(), failing(ClientGone())).ask(b"/y").sent == []
    text = log()
    assert len(re.findall(r"""status"?[=:]499\b""", text)) == 2
    assert "request.failed" not in text


@pytest.mark.parametrize(
    ("methods", "status", "allow"),
    [(frozenset({"POST", "GET"}), 405, b"GET, POST"), (frozenset(), 405, b""), (None, 200, None)],
)
def test_methods(methods: frozenset[str] | None, status: int, allow: bytes | None) -> None:
    """RFC 9110 §15.5.6: what an endpoint does not answer is 405 with those that it does; None answers all."""
    exchange = door(Endpoint(methods=methods)).ask(b"/x", method="BREW")
    assert (exchange.status, exchange.headers.get(b"allow")) == (status, allow)


@pytest.mark.parametrize("path", [b"/%78", b"/x/%2e%2e/x", b"/a/b/c/%2F", b"/a/b/c/%5c", b"/a/b/c/%00", b"/%61/b/c/d"])
def test_second_spellings(path: bytes) -> None:
    """HTTP-10: escapes that spell a fixed name or hide a separator reach neither endpoint nor application."""
    assert door(Endpoint(), failing(ValueError())).ask(path).status == 404


@pytest.mark.parametrize(
    ("path", "below"),
    [
        (b"/x/", b"/"),
        (b"/x/y/%2e%2e/x", b"/y/%2e%2e/x"),
        (b"/x", None),
        (b"/xy", None),
        (b"//x/y", None),
        (b"/%78/y", None),
        (b"/X/y", None),
    ],
)
def test_prefixes(path: bytes, below: bytes | None) -> None:
    """HTTP-10: an endpoint below a prefix gets the raw rest of the path, and the prefix too has one spelling."""
    asked: list[bytes] = []

    def endpoint_for(rest: bytes) -> Endpoint:
        asked.append(rest)
        return Endpoint()

    prefixes = {b"/x/": ("below", endpoint_for)}
    made = FrontDoor(
        table={b"/x": ("x", Endpoint())},
        prefixes=prefixes,
        fallback=failing(ClientGone()),
        metrics=Metrics(),
        proxies=TrustedProxies(),
    )
    Exchange(made).ask(path)
    assert asked == ([below] if below is not None else [])


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", [b"203.0.113.9"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [b"1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [b"1.1.1.1", b"203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("::ffff:10.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", [b"<script>"], ""),
        ("10.0.0.1", [b"203.0.113.9, unknown"], ""),
        ("10.0.0.1", [b"203.0.113.9:1234"], ""),
        ("10.0.0.1", [b"a" * 8000], ""),
        ("", [b"203.0.113.9"], ""),
    ],
)
def test_forwarded_address(peer: str, forwarded: list[bytes], expected: str) -> None:
    """NET-01, NET-02, NET-04: only a trusted proxy is believed, its rightmost untrusted hop, and only an address."""
    headers = [(b"x-forwarded-for", value) for value in forwarded]
    exchange = door(Endpoint(), proxies=TrustedProxies((ip_network("10.0.0.0/8"),))).ask(b"/x", *headers, peer=peer)
    assert json.loads(exchange.body) == {"address": expected}


def test_address_is_logged(log: Callable[[], str]) -> None:
    """LOG-01: the line of a request names where it came from, also for the management API, and never a forged one."""
    for path in (b"/x", b"/admin/v1/clients"):
        door(Endpoint(), failing(ClientGone())).ask(path, (b"x-forwarded-for", b"203.0.113.9"), peer="192.0.2.1")
    text = log()
    assert text.count("192.0.2.1") == 2
    assert "203.0.113.9" not in text
