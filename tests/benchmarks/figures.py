"""Samples, their medians and what they say about a target. No I/O."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Self

from tests.benchmarks.errors import BenchmarkError

HOLDS = "holds"
FALLS_SHORT = "falls short"
INVALID = "invalid"
NO_TARGET = ""

_TIMES = "\N{MULTIPLICATION SIGN}"
_RESULT_MARK = "RESULT "
_MICROSECONDS = 1_000_000
_MICROSECONDS_PER_MILLISECOND = 1_000


@dataclass(frozen=True, slots=True)
class CpuSeconds:
    """CPU time, in the program's own code and in the kernel for it."""

    user: float = 0.0
    system: float = 0.0

    def __add__(self, other: Self) -> Self:
        """Return the time of both."""
        return type(self)(self.user + other.user, self.system + other.system)

    def __sub__(self, earlier: Self) -> Self:
        """Return the time since `earlier`."""
        return type(self)(self.user - earlier.user, self.system - earlier.system)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of the load generator."""

    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    failures: int
    """Answers other than 2xx, and connections that broke or timed out."""
    server_cpu: CpuSeconds = CpuSeconds()
    """What all processes of the server took meanwhile."""
    load_cpu_seconds: float = 0.0
    """What the load generator took."""

    @property
    def cpu_us(self) -> float:
        """The server's CPU time a request, in microseconds."""
        return self._each_us(self.server_cpu.user + self.server_cpu.system)

    @property
    def user_us(self) -> float:
        """The part of it in the server's own code."""
        return self._each_us(self.server_cpu.user)

    @property
    def load_cpu_us(self) -> float:
        """The load generator's CPU time a request, in microseconds."""
        return self._each_us(self.load_cpu_seconds)

    def _each_us(self, seconds: float) -> float:
        return seconds * _MICROSECONDS / self.requests if self.requests else 0.0


def read_sample(output: str) -> Sample:
    """Return the sample that load.lua printed in `output`, wrk's standard output.

    Raises BenchmarkError when there is none.
    """
    for line in output.splitlines():
        if line.startswith(_RESULT_MARK):
            values = json.loads(line.removeprefix(_RESULT_MARK))
            return Sample(
                requests=values["requests"],
                requests_per_second=values["requests"] * _MICROSECONDS / values["duration_us"],
                p50_ms=values["p50_us"] / _MICROSECONDS_PER_MILLISECOND,
                p99_ms=values["p99_us"] / _MICROSECONDS_PER_MILLISECOND,
                failures=values["failures"],
            )
    raise BenchmarkError(f"wrk printed no result: {output.strip() or 'nothing at all'}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The medians of one server's samples, each value by itself."""

    section: str
    name: str
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """The server's CPU time a request."""
    user_us: float
    """The part of it in the server's own code, outside the kernel."""
    failures: int
    samples: tuple[Sample, ...]


def summarise(section: str, name: str, samples: Sequence[Sample]) -> Figure:
    """Return the medians of `samples` and the sum of their failures."""
    return Figure(
        section=section,
        name=name,
        requests_per_second=median(sample.requests_per_second for sample in samples),
        p50_ms=median(sample.p50_ms for sample in samples),
        p99_ms=median(sample.p99_ms for sample in samples),
        cpu_us=median(sample.cpu_us for sample in samples),
        user_us=median(sample.user_us for sample in samples),
        failures=sum(sample.failures for sample in samples),
        samples=tuple(samples),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One claim, what was measured, what was promised and whether it holds."""

    section: str
    claim: str
    measured: str
    target: str = ""
    verdict: str = NO_TARGET


@dataclass(frozen=True, slots=True)
class Results:
    """What a section hands back."""

    figures: Sequence[Figure] = field(default=())
    findings: Sequence[Finding] = field(default=())
    notes: Sequence[str] = field(default=())
    """How it was measured, where that differs from what the report says of all sections."""


def compare_rates(claim: str, ours: Figure, theirs: Figure, target: float) -> Finding:
    """Return how many times `theirs` our rate is, against `target` times."""
    return _at_least_times(claim, ours, theirs, _ratio(ours, theirs), target)


def compare_capacities(
    claim: str, ours: Figure, theirs: Figure, target: float, *, cores: int, their_cores: int
) -> Finding:
    """Return how many times more requests `cores` have CPU time for at our cost of one than `their_cores` at theirs.

    It says what the servers would do if nothing else needed the cores.
    """
    ratio = cores * theirs.cpu_us / (their_cores * ours.cpu_us) if ours.cpu_us else 0.0
    return _at_least_times(claim, ours, theirs, ratio, target)


def compare_shares(claim: str, ours: Figure, whole: Figure, target_percent: float | None = None) -> Finding:
    """Return our rate in percent of the rate of `whole`, against `target_percent` if there is one."""
    percent = 100 * _ratio(ours, whole)
    return Finding(
        section=ours.section,
        claim=claim,
        measured=f"{percent:.0f} %",
        target="" if target_percent is None else f"≥ {target_percent:g} %",
        verdict=_verdict(ours, whole, holds=None if target_percent is None else percent >= target_percent),
    )


def compare_tails(claim: str, ours: Figure, theirs: Figure) -> Finding:
    """Return our p99 latency against theirs, which it should not exceed."""
    return Finding(
        section=ours.section,
        claim=claim,
        measured=f"{ours.p99_ms:.1f} ms",
        target=f"≤ {theirs.p99_ms:.1f} ms",
        verdict=_verdict(ours, theirs, holds=ours.p99_ms <= theirs.p99_ms),
    )


def at_most(
    section: str,
    claim: str,
    *,
    measured: float,
    limit: float,
    unit: str,
    decimals: int = 0,
    of: Sequence[Figure] = (),
) -> Finding:
    """Return a single measured value against its limit; both are shown in `unit`. `of` are the figures it is from."""
    return Finding(
        section=section,
        claim=claim,
        measured=f"{measured:,.{decimals}f} {unit}",
        target=f"≤ {limit:,} {unit}",
        verdict=_verdict(*of, holds=measured <= limit),
    )


def _at_least_times(claim: str, ours: Figure, theirs: Figure, ratio: float, target: float) -> Finding:
    return Finding(
        section=ours.section,
        claim=claim,
        measured=f"{ratio:.2f} {_TIMES}",
        target=f"≥ {target:g} {_TIMES}",
        verdict=_verdict(ours, theirs, holds=ratio >= target),
    )


def _ratio(ours: Figure, theirs: Figure) -> float:
    return ours.requests_per_second / theirs.requests_per_second if theirs.requests_per_second else 0.0


def _verdict(*figures: Figure, holds: bool | None) -> str:
    if any(figure.failures for figure in figures):
        return INVALID
    if holds is None:
        return NO_TARGET
    return HOLDS if holds else FALLS_SHORT
