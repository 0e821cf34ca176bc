"""What a command prints: JSON for programs, aligned text for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import click
from pydantic import BaseModel

from authserver.core.clock import rfc3339
from authserver.core.json_value import Json

_GAP = "  "
_NOTHING = "-"


def document_of(view: BaseModel) -> dict[str, Json]:
    """Return the JSON object of a view, as the management API shows it."""
    return view.model_dump(mode="json")


def print_json(document: Json) -> None:
    """Print JSON in ASCII, which every terminal and pipe can carry."""
    click.echo(json.dumps(document, indent=2))


def warn(lines: Iterable[str]) -> None:
    """Print warnings on stderr, where they are no part of what a program reads."""
    for line in lines:
        click.echo(f"warning: {printable(line)}", err=True)


def print_rows(rows: Mapping[str, Json]) -> None:
    """Print one thing: a name and a value on each line, what is not set left out."""
    known = {name: value for name, value in rows.items() if value is not None}
    width = max(map(len, known), default=0)
    for name, value in known.items():
        click.echo(f"{name.replace('_', ' '):<{width}}{_GAP}{shown(name, value)}".rstrip())


def print_table(columns: Sequence[str], rows: Iterable[Mapping[str, Json]], *, nothing: str) -> None:
    """Print many things: a line each under a heading, or the sentence `nothing`."""
    cells = [[shown(name, row[name]) for name in columns] for row in rows]
    if not cells:
        click.echo(nothing)
        return
    headed = [[name.replace("_", " ").upper() for name in columns], *cells]
    widths = [max(map(len, column)) for column in zip(*headed, strict=True)]
    for line in headed:
        click.echo(_GAP.join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def shown(name: str, value: Json) -> str:
    """Return a value on one line that cannot steer a terminal; `name` tells a time by its `_at` or `_until`."""
    if value is None or value in ("", [], {}):
        return _NOTHING
    if isinstance(value, int) and name.endswith(("_at", "_until")):
        return rfc3339(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return printable(" ".join(value))
    if isinstance(value, str):
        return printable(value)
    return json.dumps(value)


def printable(text: str) -> str:
    """Return the text, or its escaped form when it holds control characters."""
    return text if text.isprintable() else ascii(text)
