"""The command line's values."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much is measured, and where the report goes."""

    rounds: int = 3
    seconds: int = 5
    warm_up_seconds: int = 2
    clients: int = 10_000
    revocations: int = 1_000_000
    starts: int = 5
    revoked_elsewhere: int = 10_000
    revoked_at_library: int = 1_000
    disconnects: int = 100
    rotations: int = 100
    checks: int = 20_000
    memory_seconds: int = 60
    only: tuple[str, ...] = ()
    unpinned: bool = False
    markdown: Path | None = None
    json: Path | None = None
    picture: Path | None = None


FULL = Options()
QUICK = replace(
    FULL,
    rounds=1,
    seconds=1,
    warm_up_seconds=1,
    clients=500,
    revocations=20_000,
    starts=2,
    memory_seconds=6,
    revoked_elsewhere=200,
    revoked_at_library=30,
    disconnects=6,
    rotations=6,
    checks=2_000,
)


def read_options(arguments: Sequence[str], sections: Sequence[str]) -> Options:
    """Return the options in `arguments`; `sections` are the names that --only may list."""
    values = vars(_parser(sections).parse_args(arguments))
    preset = QUICK if values.pop("quick") else FULL
    given: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    options = replace(preset, **given)
    return options if options.only else replace(options, only=tuple(sections))


def _parser(sections: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Measure our server and its peers, side by side."
    )

    def section_names(text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(","))
        for name in names:
            if name not in sections:
                raise argparse.ArgumentTypeError(f"no section {name!r}; there are {', '.join(sections)}")
        return names

    parser.add_argument("--only", type=section_names, metavar="NAMES", help=f"some of {','.join(sections)}")
    parser.add_argument("--quick", action="store_true", help="small counts and short runs, to try the bench itself")
    parser.add_argument("--unpinned", action="store_true", help="let servers and load use every core")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the report there too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the rates beside the peers' there (SVG)")
    for option in fields(Options):
        if option.type is int:
            flag = "--" + option.name.replace("_", "-")
            parser.add_argument(flag, type=_positive, metavar="N", help=f"default {option.default}")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)
