"""The sidecar's metrics: those of the front door, and what its verifier says of itself (RS-07)."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from authserver.resource_server import Status
from authserver.sidecar.judge import Judge
from authserver.telemetry.metrics import Metrics

_PREFIX = "authserver_sidecar"

#: What is shown as it is, by the name that it has in `Status`.
GAUGES = {
    "ready": "1 when tokens can be judged, else 0.",
    "staleness_seconds": "How long ago all revocations were known here; +Inf before the first answer of the feed.",
    "revocations": "Revocations held.",
    "keys": "Keys of the issuer held.",
}

#: What only grows, until a reload begins anew.
COUNTERS = {
    "feed_answers": "Answers of the revocation feed.",
    "feed_failures": "Requests to the revocation feed that failed.",
    "key_fetches": "Requests for the issuer's keys.",
    "key_failures": "Requests for the issuer's keys that failed.",
    "verified": "Tokens found good.",
    "refused": "Tokens refused.",
    "unavailable": "Tokens that could not be judged.",
}


class SidecarMetrics(Metrics):
    """The metrics of one sidecar."""

    def __init__(self, *, judge: Judge) -> None:
        """Show also what `judge` knows at the moment."""
        super().__init__()
        self._knowledge = CollectorRegistry()
        self._knowledge.register(_Knowledge(judge))

    def exposition(self) -> bytes:
        """Return all metrics in the text format 0.0.4."""
        return super().exposition() + generate_latest(self._knowledge)


class _Knowledge(Collector):
    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def collect(self) -> Iterator[Metric]:
        """Measure everything at one moment."""
        status: Status = self._judge.verifier.status()
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=float(getattr(status, name)))
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"{_PREFIX}_{name}", text, value=float(getattr(status, name)))
