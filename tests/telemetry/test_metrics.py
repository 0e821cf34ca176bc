"""The metrics: Prometheus' text form, with a number of series that no caller can raise."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from authserver.audit.events import AuditEvent
from authserver.telemetry.metrics import MAX_CLIENT_LABELS, Metrics


def series(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of one counter by the values of their labels."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    found = [sample for family in families for sample in family.samples if sample.name == f"authserver_{name}"]
    return {tuple(sample.labels.values()): sample.value for sample in found}


def test_requests_are_counted() -> None:
    """Answers are counted by endpoint and status, and their time by endpoint."""
    metrics = Metrics()
    for status in (200, 200, 401):
        metrics.observe_request("token", status, 0.003)
    assert series(metrics, "requests_total") == {("token", "200"): 2, ("token", "401"): 1}
    assert series(metrics, "request_seconds_count") == {("token",): 3}
    assert series(metrics, "request_seconds_bucket")[("token", "0.005")] == 3


def test_clients_are_bounded() -> None:
    """LOG-04: beyond 200 clients all others share one label, and the first ones keep theirs."""
    metrics = Metrics()
    for number in range(5 * MAX_CLIENT_LABELS):
        metrics.count_token_request(f"client-{number}", "issued")
    metrics.count_token_request("client-0", "issued")
    counted = series(metrics, "token_requests_total")
    assert len(counted) == MAX_CLIENT_LABELS + 1
    assert counted[("other", "issued")] == 4 * MAX_CLIENT_LABELS
    assert counted[("client-0", "issued")] == 2


def test_clients_that_proved_nothing_have_no_name() -> None:
    """LOG-04: who is not authenticated is counted under one label, whatever he calls himself."""
    metrics = Metrics()
    for _ in range(3):
        metrics.count_token_request(None, "invalid_client")
    assert series(metrics, "token_requests_total") == {("unauthenticated", "invalid_client"): 3}


@pytest.mark.parametrize("client_id", ['a"b', "a\nb 1", "a\\b", "é", 'a",outcome="x'])
def test_odd_ids_are_escaped(client_id: str) -> None:
    """LOG-01: an id with quotes or line breaks stays the value of its label."""
    metrics = Metrics()
    metrics.count_token_request(client_id, "issued")
    assert series(metrics, "token_requests_total") == {(client_id, "issued"): 1}
    assert len(re.findall(r"^authserver_token_requests_total\{", metrics.exposition().decode(), re.MULTILINE)) == 1


def test_events_are_counted() -> None:
    """LOG-04: events come from a fixed vocabulary, one series each."""
    metrics = Metrics()
    for event in [*AuditEvent, AuditEvent.TOKEN_REVOKED]:
        metrics.count_event(event)
    counted = series(metrics, "audit_events_total")
    assert len(counted) == len(AuditEvent)
    assert counted[(AuditEvent.TOKEN_REVOKED.value,)] == 2


def test_gauges_are_read_when_asked() -> None:
    """A gauge shows what holds at the moment of the question."""
    metrics, values = Metrics(), [1.0]
    metrics.gauge("revocations_held", "Revocations held.", lambda: values[-1])
    assert series(metrics, "revocations_held") == {(): 1}
    values.append(7)
    assert series(metrics, "revocations_held") == {(): 7}
