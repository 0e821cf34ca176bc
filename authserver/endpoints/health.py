"""Health and metrics: `/health/live`, `/health/ready`, `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from authserver.core.errors import AuthServerError
from authserver.telemetry.metrics import Metrics
from authserver.wire.answers import json_answer
from authserver.wire.http import NO_STORE, Answer, Request

_EXPOSITION = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")

#: Returns the reasons why the server is not ready, an empty list when it is.
ReadinessCheck = Callable[[], Awaitable[list[str]]]


class LiveEndpoint:
    """Says that the process answers. It stays alive when a dependency is away."""

    methods = frozenset({"GET", "HEAD"})

    async def __call__(self, request: Request) -> Answer:  # noqa: ARG002
        """Answer 200."""
        return json_answer({"status": "live"})


class ReadyEndpoint:
    """Says whether requests should be sent here, and if not, why."""

    methods = frozenset({"GET", "HEAD"})

    def __init__(self, *, check: ReadinessCheck, losses: Callable[[], list[str]] = list) -> None:
        """Ask `check` each time; `losses` says what is away that the server can do without."""
        self._check = check
        self._losses = losses

    async def __call__(self, request: Request) -> Answer:
        """Answer 200, or 503 with the reasons."""
        try:
            reasons = await self._check()
        except AuthServerError as error:
            reasons = [error.reason]
        if not reasons:
            losses = self._losses()
            return json_answer({"status": "ready", "degraded": losses} if losses else {"status": "ready"})
        request.notes["reason"] = "; ".join(reasons)
        return json_answer({"status": "not ready", "reasons": reasons}, status=503)


class MetricsEndpoint:
    """Shows the metrics to Prometheus."""

    methods = frozenset({"GET", "HEAD"})

    def __init__(self, *, metrics: Metrics) -> None:
        """Show `metrics`."""
        self._metrics = metrics

    async def __call__(self, request: Request) -> Answer:  # noqa: ARG002
        """Answer in the text format."""
        return Answer(200, self._metrics.exposition(), (_EXPOSITION, NO_STORE))
