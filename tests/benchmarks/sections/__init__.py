"""One question each: a module with a function `measure` that takes the bench and hands back figures and findings.

To add one, write its module and add its name here. It is imported when it is its turn.
"""

from importlib import import_module
from typing import Protocol, cast

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Results

#: In the order of the report.
SECTIONS = (
    "tokens",
    "introspection",
    "clients",
    "revoked",
    "start",
    "memory",
    "ceiling",
    "instances",
    "workers",
    "million",
    "verifier",
    "feed",
    "asgi",
    "forward_auth",
    "rotations",
)


class Section(Protocol):
    """What a module of this package has to offer."""

    SECTION: str
    """The module's own name, as --only and the report have it."""

    def measure(self, bench: Bench) -> Results:
        """Return what was measured; raise BenchmarkError when it could not be."""


def section(name: str) -> Section:
    """Return the section that is called `name`."""
    return cast("Section", import_module(f"{__name__}.{name}"))
