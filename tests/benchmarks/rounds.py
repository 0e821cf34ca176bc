"""Alternating measurements: every contestant once per round, so that drift of the machine meets all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.benchmarks.figures import Figure, Sample, summarise
from tests.benchmarks.load import LoadGenerator
from tests.benchmarks.options import Options
from tests.benchmarks.progress import say
from tests.benchmarks.server import Load


@dataclass(frozen=True, slots=True)
class Contestant:
    """A load to warm up with, and what to measure once the warm-up has shown a rate."""

    name: str
    warm_up: Load
    measured: Callable[[Sample], Load]


def steady(name: str, load: Load) -> Contestant:
    """Return a contestant that is measured by the load that it is warmed up with."""
    return Contestant(name, load, lambda _: load)


def alternate(
    section: str, contestants: Sequence[Contestant], generator: LoadGenerator, options: Options
) -> list[Figure]:
    """Return a figure per contestant, in their order.

    Each round starts with another contestant than the one before.
    """
    samples: dict[str, list[Sample]] = {contestant.name: [] for contestant in contestants}
    for turn in range(options.rounds):
        first = turn % len(contestants)
        for contestant in [*contestants[first:], *contestants[:first]]:
            warm_up = generator.measure(contestant.warm_up, options.warm_up_seconds)
            sample = generator.measure(contestant.measured(warm_up), options.seconds)
            samples[contestant.name].append(sample)
            say(_progress_line(section, turn + 1, contestant.name, sample))
    return [summarise(section, contestant.name, samples[contestant.name]) for contestant in contestants]


def _progress_line(section: str, turn: int, name: str, sample: Sample) -> str:
    failures = f", {sample.failures} failures" if sample.failures else ""
    return f"{section}, round {turn}, {name}: {sample.requests_per_second:,.0f}/s, p99 {sample.p99_ms:.1f} ms{failures}"
