"""Metrics of several workers added up: each counts in files that all of them read.

A file belongs to a worker's number, not to its process: who takes its place counts on, so that no counter falls.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client whenever a value is made

#: How the figures of the processes become one; all others are added.
_MERGED: dict[str, Callable[[Sequence[float]], float]] = {
    "process_start_time_seconds": min,
    "process_max_fds": min,
}


def join_workers(directory: str, number: int) -> CollectorRegistry:
    """Count in `directory` as worker `number` from here on; return the registry that adds up all workers.

    To be called once in a process, before the first metric is made.
    """
    os.environ[_DIRECTORY] = directory
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
    Path(directory, f"{number}.pid").write_text(str(os.getpid()), encoding="ascii")
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=directory)  # type: ignore[no-untyped-call]
    registry.register(_Processes(directory))
    return registry


class _Processes(Collector):
    """`process_*` of all workers together."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def collect(self) -> Iterator[Metric]:
        figures: dict[str, list[float]] = defaultdict(list)
        families: dict[str, Metric] = {}
        for family in self._families():
            families[family.name] = family
            for sample in family.samples:
                figures[sample.name].append(sample.value)
        for family in families.values():
            name = family.samples[0].name
            family.samples = [family.samples[0]._replace(value=_MERGED.get(name, sum)(figures[name]))]
            yield family

    def _families(self) -> Iterable[Metric]:
        for file in sorted(self._directory.glob("*.pid")):
            pid = file.read_text(encoding="ascii")
            yield from ProcessCollector(pid=partial(str, pid), registry=None).collect()
