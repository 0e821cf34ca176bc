"""The process: learn, listen, say so, serve, stop, exit 0."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version

import structlog

from authserver.core.running import running
from authserver.endpoints.forward_rules import Rules
from authserver.sidecar.entrance import bound_connections
from authserver.sidecar.judge import Judge
from authserver.sidecar.listening import Address, listening
from authserver.sidecar.logs import VerifierMessages
from authserver.sidecar.metrics import SidecarMetrics
from authserver.sidecar.options import Options, Sources, read_sources
from authserver.sidecar.reload import Reload
from authserver.sidecar.surface import build_surface
from authserver.wire.door import FrontDoor
from authserver.wire.http import Receive, Scope, Send
from authserver.wire.request_head import Limits
from authserver.wire.server import StagedServer, configuration
from authserver.wire.stopping import Stage, Stop

GRACE_SECONDS = 10
WATCH_SECONDS = 1.0

#: One service is in front of it, or one proxy, which hands on what strangers send. A connection takes 9 KB, and while
#: it holds the largest head, of 32 KB, 40 to 52 KB: all `HELD_CONNECTIONS` 21 MB, beside 35 MB, in 64 MiB.
LIMITS = Limits(max_body_bytes=64 * 1024, max_connections=300)

#: Those beyond `LIMITS` are told 503 once their head is there, unless for health; those beyond this at once.
HELD_CONNECTIONS = 400


async def serve(options: Options, sources: Sources, address: Address, *, reload_asked: asyncio.Event) -> None:
    """Serve until a signal; raise ConfigurationError before anything listens.

    An authorization server that is away is no reason not to start: until it is back, the answers are 503.
    `reload_asked` asks for a reload; what was asked for during the start is done once it serves.
    """
    async with _judging(options, sources) as judge:
        with listening(address) as listener:
            surface = _Surface(judge, sources.rules)
            server = StagedServer(
                bound_connections(
                    configuration(surface, limits=LIMITS, grace_seconds=GRACE_SECONDS), most=HELD_CONNECTIONS
                ),
                ready=partial(_announce, options, judge, address, listener),
                closing=lambda: None,
                stop=surface.stop,
            )
            async with _background(options, judge, surface, reload_asked):
                await server.serve([listener])
    structlog.get_logger().info("sidecar.stopped")


@asynccontextmanager
async def _judging(options: Options, sources: Sources) -> AsyncIterator[Judge]:
    """Start the verifier; close whichever is there in the end."""
    messages = VerifierMessages()
    judge = Judge(await sources.start(), max_staleness_seconds=options.max_staleness_seconds)
    try:
        messages.start()
        yield judge
    finally:
        await judge.verifier.aclose()


class _Surface:
    """The ASGI application; its rules may be replaced meanwhile."""

    def __init__(self, judge: Judge, rules: Rules | None) -> None:
        self.stop = Stop(delay_seconds=0, supervised=False)
        self._judge = judge
        self._metrics = SidecarMetrics(judge=judge)
        self._application = self._with(rules)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)

    def use_rules(self, rules: Rules | None) -> None:
        self._application = self._with(rules)

    def _with(self, rules: Rules | None) -> FrontDoor:
        return build_surface(
            self._judge, rules=rules, metrics=self._metrics, draining=lambda: self.stop.stage > Stage.SERVING
        )


@asynccontextmanager
async def _background(
    options: Options, judge: Judge, surface: _Surface, reload_asked: asyncio.Event
) -> AsyncIterator[None]:
    """Do what happens by itself until the block is left: reload at SIGHUP, tell when the knowledge gets too old."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload_asked.set)
    reload = Reload(judge=judge, read=partial(read_sources, options), use_rules=surface.use_rules, asked=reload_asked)
    async with running(reload.run(), _watch(judge)):
        yield


async def _watch(judge: Judge) -> None:
    """Tell once when tokens cannot be judged, or are judged by what is too old; and once when that is over."""
    log = structlog.get_logger()
    told = False
    while True:
        doubts, losses = judge.doubts(), judge.staleness_problems()
        if (doubts or losses) and not told:
            event = "sidecar.not_ready" if doubts else "sidecar.judging_by_old_knowledge"
            log.error(event, reason="; ".join(doubts or losses))
        elif told and not (doubts or losses):
            log.info("sidecar.ready")
        told = bool(doubts or losses)
        await asyncio.sleep(WATCH_SECONDS)


def _announce(options: Options, judge: Judge, address: Address, listener: socket.socket) -> None:
    """Say that the sidecar serves, for whom, and by which bounds."""
    log = structlog.get_logger()
    config = judge.verifier.config
    port = address.port if address.path else listener.getsockname()[1]
    log.info(
        "sidecar.started",
        version=version("authserver"),
        listen=str(Address(address.host, port, address.path)),
        issuer=config.issuer if config else None,
        audience=config.audience if config else None,
        max_staleness_seconds=options.max_staleness_seconds,
    )
    if options.fail_open:
        log.warning(
            "sidecar.fail_open",
            reason="--fail-open: while the authorization server is away, tokens revoked meanwhile are let in",
        )
