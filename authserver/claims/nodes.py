"""What a template consists of once it is parsed: JSON with holes. What has no hole in it is one `Fixed`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from authserver.core.json_value import Json


@dataclass(frozen=True, slots=True)
class Fixed:
    """A JSON value that is the same in every token."""

    value: Json


@dataclass(frozen=True, slots=True)
class Path:
    """`client.trusted_metadata.roles[0]`: root and field, then keys (str) and indexes (int)."""

    root: str
    field: str
    steps: tuple[str | int, ...]
    written: str


@dataclass(frozen=True, slots=True)
class Hole:
    """`{{ required a || b || "literal" }}`: the first path that names a value, else the fallback."""

    paths: tuple[Path, ...]
    fallback: Fixed | None
    required: bool


@dataclass(frozen=True, slots=True)
class Text:
    """A string with at least one hole in it."""

    parts: tuple[str | Hole, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """An array with a hole somewhere inside."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Members:
    """An object with a hole somewhere inside, or the whole template."""

    members: tuple[tuple[str, Node], ...]


Node: TypeAlias = Fixed | Hole | Text | Items | Members


@dataclass(frozen=True, slots=True)
class Document:
    """A whole template: the request parameters that it accepts, and its claims."""

    request_parameters: frozenset[str]
    claims: Members
