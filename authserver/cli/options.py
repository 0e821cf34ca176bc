"""What several commands take: `--json`, `--yes`, files, a secret on stdin; and examples in help texts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import reduce
from typing import Any, BinaryIO, TypeVar

import click

from authserver.core.json_value import Json

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

#: Adds something to a command.
Decorator = Callable[[CommandT], CommandT]

MAX_INPUT_BYTES = 1024 * 1024


def example(*lines: str) -> str:
    """Return the end of a help text that shows a command as it is typed; each line stays as it is."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def together(*options: Decorator[Any]) -> Decorator[Any]:
    """Return what adds several options, in this order."""
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


def json_option(command: CommandT) -> CommandT:
    """Add `--json`, as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, named as in the management API.")(command)


def yes_option(command: CommandT) -> CommandT:
    """Add `--yes`; see `confirm`."""
    return click.option("--yes", is_flag=True, help="Do not ask on a terminal.")(command)


def resource_option(command: CommandT) -> CommandT:
    """Add `--resource`, for what a resource may have of its own."""
    return click.option("--resource", metavar="URI", help="The one of this resource, not the workspace's.")(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask a person at a terminal; a script is not asked. Abort, with exit code 1, on anything but yes."""
    if not yes and sys.stdin.isatty():
        click.confirm(question, abort=True, err=True)


def given(**values: Json) -> dict[str, Json]:
    """Return the options that were given, as a document for the verbs of the administration."""
    return {name: value for name, value in values.items() if value is not None}


class SecondsOrDefault(click.ParamType[int | str]):
    """A number of seconds, or the word `default`, which takes an own value away again."""

    name = "seconds|default"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or the word."""
        if value == "default":
            return "default"
        try:
            return int(value)
        except ValueError:
            self.fail("is neither a number of seconds nor `default`", param, ctx)


def read_secret(what: str) -> str:
    """Return the first line of stdin, where a secret shows neither in the process list nor in a history."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, err=True))
    return _decoded(sys.stdin.buffer.readline(MAX_INPUT_BYTES), what).rstrip("\r\n")


def read_text(file: BinaryIO) -> str:
    """Return a file's text; raise UsageError when it is larger than 1 MB or not UTF-8."""
    content = file.read(MAX_INPUT_BYTES + 1)
    if len(content) > MAX_INPUT_BYTES:
        raise click.UsageError("The file is larger than 1 MB.")
    return _decoded(content, "The file")


def _decoded(content: bytes, what: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.UsageError(f"{what} is not UTF-8.") from None
