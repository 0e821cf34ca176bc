"""A page of the documentation as a list of what a reader does: type commands, write files, start a service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

#: The line before a block that is a file ends with its name.
_FILE_NAME = re.compile(r"`([\w.]+)`:\s*$")


@dataclass(frozen=True, slots=True)
class Step:
    """A command, with the output that the page shows for it."""

    command: str
    output: str


@dataclass(frozen=True, slots=True)
class Service:
    """A command that runs in a terminal of its own until somebody ends it."""

    command: str


@dataclass(frozen=True, slots=True)
class File:
    """A file that the reader writes."""

    name: str
    text: str


def read_page(path: Path) -> list[Step | Service | File]:
    """Return what the page has its reader do, in order.

    A `console` block is commands with their outputs, a `shell` block a service, any other one behind a file name a
    file; `text` is there to be read only.
    """
    page = path.read_text(encoding="utf-8")
    done: list[Step | Service | File] = []
    for block in _BLOCK.finditer(page):
        language, text = block.groups()
        name = _FILE_NAME.search(page[: block.start()])
        if language == "console":
            done += steps(text)
        elif language == "shell":
            done.append(Service(text.strip()))
        elif name is not None:
            done.append(File(name[1], text))
        elif language != "text":
            raise ValueError(f"{path.name}: a block in {language} is neither typed nor saved")
    return done


def steps(block: str) -> Iterator[Step]:
    """Yield the commands of a console block; `> ` continues one."""
    for entry in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = entry.splitlines(keepends=True)
        length = 1
        while length < len(lines) and lines[length - 1].endswith("\\\n") and lines[length].startswith("> "):
            lines[length] = lines[length].removeprefix("> ")
            length += 1
        yield Step("".join(lines[:length]).rstrip("\n"), "".join(lines[length:]))
