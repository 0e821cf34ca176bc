"""The report: one text that reads well as it is and as Markdown, and JSON with every sample."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from tests.benchmarks.figures import Figure, Finding
from tests.benchmarks.load import CONNECTIONS, THREADS
from tests.benchmarks.options import Options
from tests.benchmarks.table import table


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that one run of the bench found out."""

    machine: Mapping[str, str]
    options: Options
    pinned: bool
    notes: Sequence[str]
    figures: Sequence[Figure]
    findings: Sequence[Finding]


def as_markdown(report: Report) -> str:
    """Return the report as text that is also Markdown."""
    parts = [
        ", ".join(f"{name} {value}" for name, value in report.machine.items()) + ".",
        _method(report),
        *report.notes,
        _findings_table(report.findings),
        _figures_table(report.figures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json(report: Report) -> str:
    """Return the report as JSON: the medians, and each sample that they come from."""
    options = report.options
    document = {
        "machine": dict(report.machine),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "warm_up_seconds": options.warm_up_seconds,
        "connections": CONNECTIONS,
        "threads": THREADS,
        "pinned": report.pinned,
        "notes": list(report.notes),
        "findings": [asdict(finding) for finding in report.findings],
        "figures": [asdict(figure) for figure in report.figures],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _method(report: Report) -> str:
    options = report.options
    cores = "servers on one core, load from another" if report.pinned else "servers and load share the cores"
    return (
        f"Medians of {options.rounds} alternating rounds of {options.seconds} s after {options.warm_up_seconds} s of "
        f"warm-up; wrk -t{THREADS} -c{CONNECTIONS}; one process each, {cores}; "
        "ours on SQLite with every feature on, the peers in memory. "
        "CPU µs: what all processes of the server took for a request."
    )


def _findings_table(findings: Sequence[Finding]) -> str:
    rows = [[each.section, each.claim, each.measured, each.target, each.verdict] for each in findings]
    header = ["section", "claim", "measured", "target", "verdict"]
    return table(header, rows, to_the_right=["measured", "target"])


def _figures_table(figures: Sequence[Figure]) -> str:
    header = ["section", "measurement", "per second", "range", "p50 ms", "p99 ms", "CPU µs", "remark"]
    return table(header, [_figure_row(each) for each in figures], to_the_right=header[2:7])


def _figure_row(figure: Figure) -> list[str]:
    return [
        figure.section,
        figure.name,
        f"{figure.requests_per_second:,.0f}",
        _range(figure),
        f"{figure.p50_ms:.1f}",
        f"{figure.p99_ms:.1f}",
        f"{figure.cpu_us:,.0f}",
        f"invalid: {figure.failures:,} requests failed" if figure.failures else "",
    ]


def _range(figure: Figure) -> str:
    """Return the rates of the slowest and the fastest round: how much the median can be trusted."""
    rates = [sample.requests_per_second for sample in figure.samples]
    return f"{min(rates):,.0f} to {max(rates):,.0f}"
