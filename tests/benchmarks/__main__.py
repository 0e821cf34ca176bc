"""The command line: run sections, print one report."""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.bench import Bench
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.figures import Figure, Finding
from tests.benchmarks.load import LoadGenerator, find_wrk
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.options import Options, read_options
from tests.benchmarks.peer_servers import PEERS, Peer, install_peers
from tests.benchmarks.picture import as_svg
from tests.benchmarks.processes import choose_cores, ended_by_signals
from tests.benchmarks.progress import say
from tests.benchmarks.report import Report, as_json, as_markdown
from tests.benchmarks.sections import SECTIONS, section

_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Return 0 when everything asked for was measured, 1 when something was not, 130 when interrupted."""
    options = read_options(arguments, SECTIONS)
    try:
        with ended_by_signals(), TemporaryDirectory(prefix="authserver-bench-") as folder:
            report, complete = _measure(options, Path(folder))
    except BenchmarkError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; everything that was started has been stopped")
        return _INTERRUPTED
    _hand_out(report, options)
    return 0 if complete else 1


def _measure(options: Options, folder: Path) -> tuple[Report, bool]:
    machine = describe_machine()
    cores = choose_cores(pinning=not options.unpinned)
    generator = LoadGenerator(executable=find_wrk(), folder=folder, cores=cores.load)
    notes: list[str] = []
    bench = Bench(options=options, generator=generator, peers=_find_peers(notes), cores=cores, folder=folder)
    figures: list[Figure] = []
    findings: list[Finding] = []
    failed = []
    for name in options.only:
        try:
            results = section(name).measure(bench)
        except BenchmarkError as error:
            failed.append(f"Not measured: {name}: {error}.")
            say(failed[-1])
            continue
        figures += results.figures
        findings += results.findings
        notes += results.notes
    report = Report(
        machine=machine,
        options=options,
        pinned=bool(cores.server),
        notes=[*notes, *failed],
        figures=figures,
        findings=findings,
    )
    return report, not failed


def _find_peers(notes: list[str]) -> tuple[Peer, ...]:
    try:
        install_peers()
    except BenchmarkError as error:
        notes.append(f"Our figures alone, without the peers: {error}.")
        say(notes[-1])
        return ()
    return PEERS


def _hand_out(report: Report, options: Options) -> None:
    text = as_markdown(report)
    sys.stdout.write(text)
    if options.markdown is not None:
        options.markdown.write_text(text, encoding="utf-8")
    if options.json is not None:
        options.json.write_text(as_json(report), encoding="utf-8")
    if options.picture is not None:
        options.picture.write_text(as_svg(report.figures), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
