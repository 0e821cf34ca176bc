"""Every section can be asked for by its name."""

import inspect
from pathlib import Path

import pytest

from tests.benchmarks import sections
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Results


def test_every_module_is_listed() -> None:
    """A section that was written is measured."""
    folder = Path(sections.__file__).parent
    assert sorted(sections.SECTIONS) == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", sections.SECTIONS)
def test_a_section_is_called_as_its_module_and_measures_the_bench(name: str) -> None:
    """The names in the report are those that --only takes."""
    module = sections.section(name)
    assert name == module.SECTION
    assert inspect.get_annotations(module.measure) == {"bench": Bench, "return": Results}
