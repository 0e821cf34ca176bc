"""The grammar of a template: JSON (RFC 8259) whose values and strings may hold `{{ … }}`.

    template = *( "accept" request-name *( "," request-name ) ) object
    value    = object / array / string / number / "true" / "false" / "null" / hole
    hole     = "{{" ["required"] path *( "||" path ) [ "||" plain JSON ] "}}"
    path     = root ( "." name / "[" string "]" / "[" index "]" )…

Recursive descent; the nesting limit bounds the stack, the number of members the work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from authserver.claims.names import claim_name_problem, member_name_problem, parameter_problem, path_problem, shown
from authserver.claims.nodes import Document, Fixed, Hole, Items, Members, Node, Path, Text
from authserver.claims.plain_json import MAX_NESTING
from authserver.claims.reader import Reader

MAX_MEMBERS: Final = 100
MAX_PARAMETERS: Final = 16

_PARAMETER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LARGEST_INDEX: Final = 9_999
_PATH: Final = "a path such as client.trusted_metadata.plan"


def parse(source: str) -> Document:
    """Return the parsed template; raise InvalidTemplate with the line and column of the first fault."""
    return _Parser(Reader(source)).document()


class _Parser:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._members_seen = 0
        self._declared: frozenset[str] = frozenset()

    def document(self) -> Document:
        while self._reader.take_word("accept"):
            self._declaration()
        if self._reader.sees("{{") or not self._reader.sees("{"):
            raise self._reader.fail("a template is a JSON object, which starts with one {")
        claims = Members(tuple(self._members(0, claim_name_problem).items()))
        if not self._reader.at_end():
            raise self._reader.fail("nothing can follow the object")
        return Document(self._declared, claims)

    def _declaration(self) -> None:
        self._parameter()
        while self._reader.take(","):
            self._parameter()

    def _parameter(self) -> None:
        start = self._reader.skip()
        wanted = "request.NAME, NAME being up to 64 letters, digits or _"
        if not self._reader.take_word("request"):
            raise self._reader.fail(f"expected {wanted}")
        self._reader.expect(".", wanted)
        name = self._reader.name(wanted)
        if not _PARAMETER.fullmatch(name):
            raise self._reader.fail(f"expected {wanted}", start)
        if problem := parameter_problem(name):
            raise self._reader.fail(problem, start)
        self._declared |= {name}
        if len(self._declared) > MAX_PARAMETERS:
            raise self._reader.fail(f"more than {MAX_PARAMETERS} request parameters", start)

    def _value(self, depth: int) -> Node:
        if self._reader.sees('"'):
            return self._text(depth)
        if self._reader.sees("{{"):
            return self._hole(depth)
        if self._reader.sees("{"):
            return self._object(depth)
        if self._reader.sees("["):
            return self._array(depth)
        return Fixed(self._reader.scalar())

    def _object(self, depth: int) -> Node:
        members = self._members(depth, member_name_problem)
        fixed = {name: node.value for name, node in members.items() if isinstance(node, Fixed)}
        return Fixed(fixed) if len(fixed) == len(members) else Members(tuple(members.items()))

    def _array(self, depth: int) -> Node:
        inner = self._deeper(depth)
        self._reader.expect("[")
        items = tuple(self._value(inner) for _ in self._each("]"))
        fixed = [node.value for node in items if isinstance(node, Fixed)]
        return Fixed(fixed) if len(fixed) == len(items) else Items(items)

    def _members(self, depth: int, problem_of: Callable[[str], str | None]) -> dict[str, Node]:
        inner = self._deeper(depth)
        self._reader.expect("{")
        members: dict[str, Node] = {}
        for _ in self._each("}"):
            name = self._member_name(members, problem_of)
            self._reader.expect(":", f"a colon after {shown(name)}")
            members[name] = self._value(inner)
        return members

    def _member_name(self, members: Mapping[str, Node], problem_of: Callable[[str], str | None]) -> str:
        start = self._reader.skip()
        name = self._reader.string('a name in "quotes"')
        if problem := problem_of(name):
            raise self._reader.fail(problem, start)
        if name in members:
            raise self._reader.fail(f"{shown(name)} stands twice in the same object", start)
        return name

    def _each(self, closing: str) -> Iterator[None]:
        """Yield in front of each element of a list with commas, up to and past `closing`."""
        if self._reader.take(closing):
            return
        while True:
            self._count()
            yield
            if self._reader.take(closing):
                return
            self._reader.expect(",", f"a comma or {closing}")

    def _text(self, depth: int) -> Node:
        self._reader.expect('"')
        parts: list[str | Hole] = [self._reader.piece()]
        while not self._reader.closes_string():
            self._count()
            parts += [self._hole_in_text(depth), self._reader.piece()]
        filled = tuple(part for part in parts if part != "")
        return Text(filled) if len(parts) > 1 else Fixed(parts[0])

    def _hole_in_text(self, depth: int) -> Hole:
        start = self._reader.at
        hole = self._hole(depth)
        if hole.fallback is not None and isinstance(hole.fallback.value, (dict, list)):
            raise self._reader.fail("inside a string a fallback is a string, a number, true or false", start)
        return hole

    def _hole(self, depth: int) -> Hole:
        # Braces count as a level: a fallback may not hold further ones, but is read before that is known.
        inner = self._deeper(depth)
        start = self._reader.skip()
        self._reader.expect("{{")
        required = self._reader.take_word("required")
        paths, fallback = [self._path()], None
        while fallback is None and self._reader.take("||"):
            if self._reader.sees_name():
                paths.append(self._path())
            else:
                fallback = self._fallback(inner)
        self._reader.expect("}}", "}}" if fallback else "}} or ||")
        if required and fallback:
            raise self._reader.fail("what is required needs no literal fallback: it could never be missing", start)
        return Hole(tuple(paths), fallback, required)

    def _fallback(self, depth: int) -> Fixed:
        start = self._reader.skip()
        node = self._value(depth)
        if not isinstance(node, Fixed):
            raise self._reader.fail("a fallback is a path or plain JSON, without {{ of its own", start)
        if node.value is None:
            raise self._reader.fail("null is no fallback: a missing value is left out anyway", start)
        return node

    def _path(self) -> Path:
        start = self._reader.skip()
        root = self._reader.name(_PATH)
        steps = tuple(self._steps())
        field = steps[0] if steps else None
        if not isinstance(field, str):
            raise self._reader.fail(f"expected {_PATH}", start)
        if problem := path_problem(root, field, goes_on=len(steps) > 1, declared=self._declared):
            raise self._reader.fail(problem, start)
        return Path(root, field, steps[1:], self._reader.written_since(start))

    def _steps(self) -> Iterator[str | int]:
        while True:
            if self._reader.take("."):
                yield self._reader.name('a name after the dot (other keys: ["like this"])')
            elif self._reader.take("["):
                yield self._bracket()
            else:
                return

    def _bracket(self) -> str | int:
        start = self._reader.skip()
        wanted = 'a "key" or an index from 0 to 9999'
        key = self._reader.string(wanted) if self._reader.sees('"') else self._reader.scalar()
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise self._reader.fail(f"expected {wanted}", start)
        if isinstance(key, int) and not 0 <= key <= _LARGEST_INDEX:
            raise self._reader.fail(f"expected {wanted}", start)
        self._reader.expect("]")
        return key

    def _deeper(self, depth: int) -> int:
        if depth >= MAX_NESTING:
            raise self._reader.fail(f"nested more than {MAX_NESTING} deep")
        return depth + 1

    def _count(self) -> None:
        self._members_seen += 1
        if self._members_seen > MAX_MEMBERS:
            raise self._reader.fail(f"more than {MAX_MEMBERS} members, elements and braces in strings")
