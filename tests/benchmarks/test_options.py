"""The command line: a preset, changed by what is given."""

import pytest

from tests.benchmarks.options import FULL, QUICK, read_options

SECTIONS = ["tokens", "memory"]


def test_without_arguments_everything_is_measured_in_full() -> None:
    """The full preset, all sections."""
    options = read_options([], SECTIONS)
    assert (options.only, options.seconds, options.rounds) == (("tokens", "memory"), FULL.seconds, FULL.rounds)


def test_what_is_given_changes_the_preset() -> None:
    """--quick is a preset, not an order."""
    options = read_options(["--quick", "--seconds", "3", "--only", "memory"], SECTIONS)
    assert (options.only, options.seconds, options.memory_seconds) == (("memory",), 3, QUICK.memory_seconds)


@pytest.mark.parametrize("arguments", [["--only", "speed"], ["--rounds", "0"], ["--seconds", "many"]])
def test_nonsense_is_wrong_usage(arguments: list[str]) -> None:
    """Exit code 2, as for every command."""
    with pytest.raises(SystemExit) as ended:
        read_options(arguments, SECTIONS)
    assert ended.value.code == 2
