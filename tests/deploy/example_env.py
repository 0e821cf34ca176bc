"""Writes `deploy/example.env` from the settings; `python -m tests.deploy.example_env` writes it, a test compares."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from authserver.settings import FILE_SETTINGS, FILE_SUFFIX, Settings, setting_name

EXAMPLE = Path(__file__).parents[2] / "deploy" / "example.env"

_HEAD = """\
# Every setting with its default and its meaning. Written from the code by `make reference`.
# Take the # off a line to change a setting. An unknown AUTHSERVER_* name is an error.
"""


def example_env() -> str:
    """Return the whole file."""
    return _HEAD + "\n".join(line for name in Settings.model_fields for line in _lines(name)) + "\n"


def _lines(name: str) -> Iterator[str]:
    field = Settings.model_fields[name]
    yield ""
    yield from textwrap.wrap(field.description or "", 118, initial_indent="# ", subsequent_indent="# ")
    yield f"#{setting_name(name)}={'' if field.default in {None, ()} else field.default}"
    if name in FILE_SETTINGS:
        yield f"#{setting_name(name)}{FILE_SUFFIX}="


if __name__ == "__main__":
    EXAMPLE.write_text(example_env(), encoding="utf-8")
