"""Writes `docs/reference.md` from the code: settings, routes, commands, audit events, metrics.

`python -m tests.reference` writes it; a test compares it with what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from authserver.app.description import describe
from authserver.app.readiness import GAUGES
from authserver.audit.events import AuditEvent
from authserver.cli.program import program
from authserver.settings import FILE_SETTINGS, Settings, setting_name
from authserver.telemetry.metrics import Metrics

REFERENCE = Path(__file__).parent.parent / "docs" / "reference.md"

_HEAD = """# Reference

Every setting, route, command, audit event and metric. Written from the code by `make reference`.
"""

_NEEDS = {"clientBasic": "client credentials", "accessToken": "an access token"}


def reference() -> str:
    """Return the whole page."""
    parts = (_settings(), _routes(), _commands(), _events(), _metrics())
    return _HEAD + "".join("\n" + "\n".join(part) + "\n" for part in parts)


def _settings() -> Iterator[str]:
    yield "## Settings\n"
    yield "Environment variables of the server and of the command line. An unknown `AUTHSERVER_*` name is an error."
    files = ", ".join(f"`{setting_name(name)}_FILE`" for name in FILE_SETTINGS)
    yield f"Secrets may come from files: {files}.\n"
    yield "| setting | default | meaning |"
    yield "|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = "" if field.default in {None, ()} else f"`{field.default}`"
        yield f"| `{setting_name(name)}` | {default} | {field.description} |"


def _routes() -> Iterator[str]:
    yield "## Routes\n"
    yield "`/openapi.json` of a running server has the models of requests and answers.\n"
    yield "| route | what it does | needs |"
    yield "|---|---|---|"
    for path, item in describe(issuer="https://as.example", version="")["paths"].items():
        for method, operation in item.items():
            scope = re.search(r"`(.+)`", operation.get("description", ""))
            schemes = [name for need in operation["security"] for name in need]
            needs = f"`{scope[1]}`" if scope else ", ".join(_NEEDS.get(name, name) for name in schemes)
            yield f"| `{method.upper()} {path}` | {operation['summary']} | {needs} |"


def _commands() -> Iterator[str]:
    yield "## Commands\n"
    yield "`--help` on each shows its options and examples; `--json` prints data for programs.\n"
    yield "| command | what it does |"
    yield "|---|---|"
    for words, command in _walk(("authserver",), program):
        yield f"| `{' '.join(words)}` | {command.get_short_help_str(200)} |"


def _walk(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None:
            yield from _walk((*words, name), found)


def _events() -> Iterator[str]:
    yield "## Audit events\n"
    yield "Lines of the log with `audit: true`; the name is the `event`.\n"
    yield from (f"- `{event.value}`" for event in AuditEvent)


def _metrics() -> Iterator[str]:
    yield "## Metrics\n"
    yield "At `/metrics`, in Prometheus' text format.\n"
    yield "| metric | type | meaning |"
    yield "|---|---|---|"
    help_texts: dict[str, str] = {}
    for line in Metrics().exposition().decode().splitlines():
        words = line.split(" ", 3)
        if line.startswith("# HELP"):
            help_texts[words[2]] = words[3]
        elif line.startswith("# TYPE") and not words[2].endswith("_created"):
            yield f"| `{words[2]}` | {words[3]} | {help_texts[words[2]]} |"
    for name, text in GAUGES.items():
        yield f"| `authserver_{name}` | gauge | {text} |"


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
