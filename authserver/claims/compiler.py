"""Turn a parsed template into closures: one call renders it, and no text is ever read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from authserver.claims.errors import MissingClaim
from authserver.claims.nodes import Fixed, Hole, Items, Members, Node, Path, Text
from authserver.claims.plain_json import number_problem
from authserver.core.errors import InvalidRequest
from authserver.core.json_value import Json

#: The values that paths start from: `{"client": {"client_id": …}, "token": {…}, …}`.
Context: TypeAlias = Mapping[str, Mapping[str, Any]]

#: Returns the value for one token, or MISSING, which leaves out what would have held it.
Render: TypeAlias = Callable[[Context], Json]

MISSING: Final = object()

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def compile_members(node: Members, where: str = "") -> Callable[[Context], dict[str, Json]]:
    """Return what makes the object, a fresh one at each call; `where` is its place for error messages."""
    renders = tuple((name, _compile(member, f"{where}.{name}" if where else name)) for name, member in node.members)

    def render(context: Context) -> dict[str, Json]:
        result = {}
        for name, render_member in renders:
            value = render_member(context)
            if value is not MISSING:
                result[name] = value
        return result

    return render


def static_form(node: Node) -> Json:
    """Return the part of every result that is fixed, with the fallbacks where there are some."""
    match node:
        case Fixed(value):
            return value
        case Members(members):
            return {name: static_form(member) for name, member in members}
        case Items(items):
            return [static_form(item) for item in items]
        case Text(parts):
            return "".join(part if isinstance(part, str) else text_of(static_form(part)) or "" for part in parts)
        case Hole(fallback=fallback):
            return fallback.value if fallback else None


def text_of(value: Json) -> str | None:
    """Return a value as it stands inside a string, None for what has no place there.

    Raises InvalidRequest for a number that JSON cannot hold.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (int, float)):
        return None
    if problem := number_problem(value):
        raise InvalidRequest(f"a value for a claims template was refused: {problem}")
    return repr(value)


def _compile(node: Node, where: str) -> Render:
    match node:
        case Fixed(value):
            return lambda _: value
        case Members():
            return compile_members(node, where)
        case Items(items):
            return _array(tuple(_compile(item, f"{where}[{index}]") for index, item in enumerate(items)))
        case Text(parts):
            return _text(tuple(part if isinstance(part, str) else _hole_in_text(part, where) for part in parts))
        case Hole(paths, fallback):
            return _first(tuple(map(_lookup, paths)), _otherwise(node, where, fallback.value if fallback else MISSING))


def _array(renders: tuple[Render, ...]) -> Render:
    def render(context: Context) -> Json:
        values = [render_item(context) for render_item in renders]
        return [value for value in values if value is not MISSING]

    return render


def _text(parts: tuple[str | Render, ...]) -> Render:
    def render(context: Context) -> Json:
        pieces = []
        for part in parts:
            piece = part if isinstance(part, str) else part(context)
            if piece is MISSING:
                return MISSING
            pieces.append(piece)
        return "".join(pieces)

    return render


def _hole_in_text(hole: Hole, where: str) -> Render:
    fallback = text_of(hole.fallback.value) if hole.fallback else MISSING
    return _first(tuple(_as_text(_lookup(path)) for path in hole.paths), _otherwise(hole, where, fallback))


def _as_text(lookup: Render) -> Render:
    return lambda context: text_of(lookup(context))


def _first(lookups: tuple[Render, ...], otherwise: Callable[[], Json]) -> Render:
    """Return the first value that is there. None is missing; false, 0 and the empty string are values."""

    def render(context: Context) -> Json:
        for lookup in lookups:
            value = lookup(context)
            if value is not None:
                return value
        return otherwise()

    return render


def _otherwise(hole: Hole, where: str, fallback: Json) -> Callable[[], Json]:
    if not hole.required:
        return lambda: fallback
    reason = f"claim {where}: required, but missing: {' || '.join(path.written for path in hole.paths)}"

    def fail() -> Json:
        raise MissingClaim(reason)

    return fail


def _lookup(path: Path) -> Render:
    """Return what finds the path's value or gives None. A key is looked up, never an attribute."""
    root, field, steps = path.root, path.field, path.steps

    def look(context: Context) -> Json:
        value = context.get(root, _NOTHING).get(field)
        for step in steps:
            value = _member(value, step)
        return value

    return look


def _member(value: Json, step: str | int) -> Json:
    if isinstance(step, str):
        return value.get(step) if isinstance(value, (dict, Mapping)) else None
    return value[step] if isinstance(value, (list, tuple)) and step < len(value) else None
