"""A template's characters: white space, tokens, JSON strings and numbers (RFC 8259 §2, §6, §7), positions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from authserver.claims.errors import InvalidTemplate
from authserver.claims.plain_json import number_problem
from authserver.core.errors import FieldProblem
from authserver.core.json_value import Json

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_PIECE: Final = re.compile(r'(?:[^"\\{\x00-\x1f]|\\.|\{(?!\{))*')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_CONSTANT: Final = re.compile(r"(?:true|false|null|-?(?:NaN|Infinity))\b")
_CONSTANTS: Final[Mapping[str, Json]] = {"true": True, "false": False, "null": None}
_LONGEST_NUMBER: Final = 64
_LONGEST_SHOWN: Final = 100

#: Lone surrogates, and the characters that make a template read otherwise than it is (Unicode Bidi_Control).
_UNFIT: Final = re.compile("[\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def refusal(problem: str) -> InvalidTemplate:
    """Return the error for a template, to be raised."""
    return InvalidTemplate(FieldProblem("template", problem))


class Reader:
    """A cursor over the text. What is asked for is taken and its end remembered, or the text is refused."""

    def __init__(self, text: str) -> None:
        """Start in front of `text`."""
        self._text = text
        self.at = 0

    def fail(self, problem: str, at: int | None = None) -> InvalidTemplate:
        """Return the error with the line and column of `at`, or of the cursor."""
        offset = self.at if at is None else at
        line = self._text.count("\n", 0, offset) + 1
        column = offset - self._text.rfind("\n", 0, offset)
        return refusal(f"line {line}, column {column}: {problem}")

    def skip(self) -> int:
        """Go past white space; return the place reached."""
        self._run(_SPACE)
        return self.at

    def sees(self, token: str) -> bool:
        """Tell whether `token` comes next, white space left out."""
        return self._text.startswith(token, self.skip())

    def take(self, token: str) -> bool:
        """Go past `token` if it comes next."""
        found = self.sees(token)
        self.at += len(token) if found else 0
        return found

    def expect(self, token: str, wanted: str = "") -> None:
        """Go past `token`, which must come next; `wanted` says so in words."""
        if not self.take(token):
            raise self.fail(f"expected {wanted or token}")

    def sees_name(self) -> bool:
        """Tell whether a name comes next that is no constant of JSON."""
        start = self.skip()
        return not _CONSTANT.match(self._text, start) and NAME.match(self._text, start) is not None

    def name(self, wanted: str) -> str:
        """Return the name that must come next."""
        self.skip()
        name = self._run(NAME)
        if not name:
            raise self.fail(f"expected {wanted}")
        return name

    def take_word(self, word: str) -> bool:
        """Go past `word` if it comes next as a whole word."""
        start = self.skip()
        found = self._run(NAME) == word
        self.at = self.at if found else start
        return found

    def scalar(self) -> Json:
        """Return the number, true, false or null that must come next."""
        start = self.skip()
        if constant := self._run(_CONSTANT):
            if constant not in _CONSTANTS:
                raise self.fail("NaN and Infinity are not JSON", start)
            return _CONSTANTS[constant]
        digits = self._run(_NUMBER)
        if not digits:
            raise self.fail('expected a JSON value or {{ (text stands in "quotes")')
        if len(digits) > _LONGEST_NUMBER:
            raise self.fail("the number is too long", start)
        value: int | float = json.loads(digits)
        if problem := number_problem(value):
            raise self.fail(problem, start)
        return value

    def string(self, wanted: str) -> str:
        """Return the string without holes that must come next."""
        start = self.skip()
        self.expect('"', wanted)
        piece = self.piece()
        if not self.closes_string():
            raise self.fail(f"{{{{ cannot be used here, where {wanted} is expected", start)
        return piece

    def piece(self) -> str:
        """Return the decoded text from here, inside a string, to its closing quote or to a hole."""
        start = self.at
        written = self._run(_PIECE)
        if not self._text.startswith(('"', "{{"), self.at):
            raise self.fail("the string must end on its line, and control characters be written as \\n or \\u00XX")
        try:
            decoded: str = json.loads(f'"{written}"')
        except json.JSONDecodeError as error:
            raise self.fail("this is no escape of JSON", start + error.pos - 1) from None
        if _UNFIT.search(decoded):
            raise self.fail("the string holds a lone surrogate or a bidirectional control character", start)
        return decoded

    def closes_string(self) -> bool:
        """Go past the closing quote if the cursor stands right at it."""
        closes = self._text.startswith('"', self.at)
        self.at += closes
        return closes

    def written_since(self, start: int) -> str:
        """Return the text from `start` to the cursor, for an error message: never long."""
        return self._text[start : self.at].strip()[:_LONGEST_SHOWN]

    def at_end(self) -> bool:
        """Tell whether only white space is left."""
        return self.skip() == len(self._text)

    def _run(self, pattern: re.Pattern[str]) -> str:
        """Go past what `pattern` matches right here and return it; "" when it matches nothing."""
        found = pattern.match(self._text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found.group()
