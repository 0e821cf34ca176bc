"""Every metric of the server, in Prometheus' text form, with labels whose number is bounded (LOG-04)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

#: Clients beyond this many share the label `other`.
MAX_CLIENT_LABELS = 200

_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The counters of one process. Label values come from fixed sets, or are capped here."""

    def __init__(self, *, workers: CollectorRegistry | None = None) -> None:
        """Create all metrics in a registry of their own, or count where `workers` adds up all of them."""
        self._shown = CollectorRegistry() if workers is None else workers
        own = self._shown if workers is None else None
        if own is not None:
            ProcessCollector(registry=own)
        self._requests = Counter("authserver_requests", "Requests answered.", ["endpoint", "status"], registry=own)
        self._seconds = Histogram(
            "authserver_request_seconds", "Time to the answer.", ["endpoint"], buckets=_BUCKETS, registry=own
        )
        self._tokens = Counter("authserver_token_requests", "Token requests.", ["client_id", "outcome"], registry=own)
        self._events = Counter("authserver_audit_events", "Audit events.", ["event"], registry=own)
        self._request_children: dict[tuple[str, int], Counter] = {}
        self._second_children: dict[str, Histogram] = {}
        self._token_children: dict[tuple[str, str], Counter] = {}
        self._clients: set[str] = set()

    def observe_request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one answer. `endpoint` is a name from the route table, never a path that a caller chose."""
        counter = self._request_children.get((endpoint, status))
        if counter is None:
            counter = self._request_children[(endpoint, status)] = self._requests.labels(endpoint, str(status))
        counter.inc()
        histogram = self._second_children.get(endpoint)
        if histogram is None:
            histogram = self._second_children[endpoint] = self._seconds.labels(endpoint)
        histogram.observe(seconds)

    def count_token_request(self, client_id: str | None, outcome: str) -> None:
        """Count one token request; `client_id` only after authentication, `outcome` is `issued` or an error code."""
        label = self._client_label(client_id)
        counter = self._token_children.get((label, outcome))
        if counter is None:
            counter = self._token_children[(label, outcome)] = self._tokens.labels(label, outcome)
        counter.inc()

    def count_event(self, event: str) -> None:
        """Count one audit event of the fixed vocabulary."""
        self._events.labels(event).inc()

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Register a gauge of this process that is read when somebody asks for the metrics."""
        self._shown.register(_Measured(f"authserver_{name}", text, value))

    def exposition(self) -> bytes:
        """Return all metrics in the text format 0.0.4."""
        return generate_latest(self._shown)

    def _client_label(self, client_id: str | None) -> str:
        if client_id is None:
            return "unauthenticated"
        if client_id not in self._clients:
            if len(self._clients) >= MAX_CLIENT_LABELS:
                return "other"
            self._clients.add(client_id)
        return client_id


class _Measured(Collector):
    """A gauge that is measured when it is asked for."""

    def __init__(self, name: str, text: str, value: Callable[[], float]) -> None:
        self._name = name
        self._text = text
        self._value = value

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Measure it."""
        yield GaugeMetricFamily(self._name, self._text, value=self._value())
