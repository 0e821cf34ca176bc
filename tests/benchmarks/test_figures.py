"""Samples are read from wrk, summarised by their medians and judged."""

import pytest

from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.figures import (
    CpuSeconds,
    Figure,
    Sample,
    at_most,
    compare_capacities,
    compare_rates,
    compare_shares,
    compare_tails,
    read_sample,
    summarise,
)

WRK_OUTPUT = """\
Running 5s test @ http://127.0.0.1:9101/token
  1 threads and 32 connections
  8000 requests in 5.00s, 4.00MB read
Requests/sec:   1600.00
RESULT {"requests": 8000, "failures": 3, "duration_us": 5000000, "p50_us": 19500, "p99_us": 41250}
"""


def sample(rate: float, p99_ms: float = 1.0, failures: int = 0, cpu_us: float = 0.0) -> Sample:
    """Return a sample of one second."""
    return Sample(
        requests=int(rate),
        requests_per_second=rate,
        p50_ms=0.5,
        p99_ms=p99_ms,
        failures=failures,
        server_cpu=CpuSeconds(user=rate * cpu_us / 1_000_000),
    )


def figure(rate: float, p99_ms: float = 1.0, failures: int = 0, cpu_us: float = 0.0) -> Figure:
    """Return a figure of one sample."""
    return summarise("tokens", "some server", [sample(rate, p99_ms, failures, cpu_us)])


def test_a_sample_is_read_from_the_script_s_line() -> None:
    """Rate, percentiles in milliseconds and failures come from the line that load.lua prints."""
    assert read_sample(WRK_OUTPUT) == Sample(
        requests=8000, requests_per_second=1600.0, p50_ms=19.5, p99_ms=41.25, failures=3
    )


def test_output_without_a_result_is_an_error_that_shows_it() -> None:
    """What wrk complained about is in the error."""
    with pytest.raises(BenchmarkError, match="unable to connect"):
        read_sample("unable to connect to 127.0.0.1:9101 Connection refused\n")


def test_a_figure_holds_each_value_s_own_median_and_all_failures() -> None:
    """The round with the middle rate need not be the one with the middle p99."""
    summary = summarise("tokens", "some server", [sample(10, 3.0, 1), sample(30, 9.0), sample(20, 5.0, 1)])
    assert (summary.requests_per_second, summary.p99_ms, summary.failures) == (20, 5.0, 2)


@pytest.mark.parametrize(("ours", "verdict"), [(220, "holds"), (219, "falls short")])
def test_a_rate_is_judged_by_its_ratio(ours: float, verdict: str) -> None:
    """The target itself holds."""
    finding = compare_rates("claim", figure(ours), figure(100), 2.2)
    assert (finding.target, finding.verdict) == ("≥ 2.2 \N{MULTIPLICATION SIGN}", verdict)


@pytest.mark.parametrize(("our_cpu_us", "measured", "verdict"), [(250, "1.60", "holds"), (260, "1.54", "falls short")])
def test_a_capacity_is_judged_by_the_cpu_time_of_a_request(our_cpu_us: float, measured: str, verdict: str) -> None:
    """Two cores at 250 µs a request are worth 1.6 of one at 200 µs, whatever rate was seen."""
    ours, theirs = figure(100, cpu_us=our_cpu_us), figure(100, cpu_us=200)
    finding = compare_capacities("claim", ours, theirs, 1.6, cores=2, their_cores=1)
    assert (finding.measured, finding.verdict) == (f"{measured} \N{MULTIPLICATION SIGN}", verdict)


@pytest.mark.parametrize(("ours", "verdict"), [(5.0, "holds"), (5.1, "falls short")])
def test_a_tail_is_judged_against_the_other_s(ours: float, verdict: str) -> None:
    """As late as theirs is not worse than theirs."""
    assert compare_tails("claim", figure(1, ours), figure(1, 5.0)).verdict == verdict


def test_a_share_without_a_target_has_no_verdict() -> None:
    """The ceiling is for information."""
    finding = compare_shares("claim", figure(30), figure(120))
    assert (finding.measured, finding.target, finding.verdict) == ("25 %", "", "")


@pytest.mark.parametrize(("measured", "verdict"), [(110, "holds"), (110.1, "falls short")])
def test_a_single_value_is_judged_by_its_limit(measured: float, verdict: str) -> None:
    """The limit itself holds."""
    assert at_most("memory", "claim", measured=measured, limit=110, unit="MB").verdict == verdict


def test_failed_requests_make_a_finding_invalid() -> None:
    """Quick refusals never count as speed."""
    failed = figure(900, failures=1)
    assert compare_rates("claim", failed, figure(100), 2.2).verdict == "invalid"
    assert at_most("asgi", "claim", measured=1, limit=30, unit="\N{MICRO SIGN}s", of=[failed]).verdict == "invalid"
