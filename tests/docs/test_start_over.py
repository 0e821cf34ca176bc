"""A reader can start over: what the pages make is known to git as theirs, and named where they say what to remove."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.docs.page import steps
from tests.docs.reader import Reader
from tests.docs.terminal import terminal
from tests.server import free_port, start_server

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INDEX = (ROOT / "docs" / "quickstart" / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/**/*.md")))]

_CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_START_OVER = re.compile(r"`(rm -rf [^`]+)`")
_FIELD = re.compile(r"^\$ (field\(\) .*)$", re.MULTILINE)

#: What is never written over, what a command writes, and what the reader writes.
_NEW = re.compile(r"--(?:credentials|secret)-file ([\w.-]+)")
_WRITTEN = re.compile(r" > ([\w.-]+)")
_SAVED = re.compile(r"`([\w.]+\.\w+)`(?:, run by `[^`]+`)?:\n\n```(?!text|console)")

COMMANDS = [step.command for page in PAGES for block in _CONSOLE.findall(page) for step in steps(block)]


def test_what_the_pages_make_is_ignored_by_git() -> None:
    """No secret, token or program of a reader gets into a commit of a checkout."""
    made = {name for command in COMMANDS for name in (*_NEW.findall(command), *_WRITTEN.findall(command))}
    made |= {name for page in PAGES for name in _SAVED.findall(page)}
    assert {"tour.credentials", "token.txt", "orders.py", "check.py", "Tokens.java"} <= made
    ignored = [line[1:] for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("/")]
    assert {name for name in made if not any(fnmatch(name, pattern) for pattern in ignored)} == set()


def test_what_would_be_in_the_way_is_removed() -> None:
    """Files that no command writes over, and tokens, are named by the command to start over with, on both pages."""
    ((command,), (same,)) = _START_OVER.findall(README), _START_OVER.findall(INDEX)
    assert command == same
    made = {name for command in COMMANDS for name in _NEW.findall(command)} | {"data", "token.txt", "token.json"}
    assert {name for name in made if not any(fnmatch(name, pattern) for pattern in command.split())} == set()


def test_the_tour_can_be_taken_again(tmp_path: Path) -> None:
    """It leaves credentials that work; once all is removed that the README names, it goes as it went before."""
    (command,) = _START_OVER.findall(README)
    port, outputs = free_port(), []
    for _ in range(2):
        (tmp_path / "data").mkdir(mode=0o700)
        with start_server(tmp_path / "data", port=port) as server:
            reader = Reader.beside(server, tmp_path)
            with terminal(tmp_path, reader.environment) as shell:
                typed = [step.command for block in _CONSOLE.findall(README) for step in steps(block)]
                outputs.append([shell.run(reader.here(one)).count("\n") for one in typed])
            client, secret = (tmp_path / "tour.credentials").read_text().strip().split(":")
            assert server.token({"client_id": client, "client_secret": secret})
        with terminal(tmp_path, reader.environment) as shell:
            assert shell.run(command) == ""
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    ("answer", "taken", "told"),
    [
        ('{"access_token":"abc","token_type":"Bearer"}', "abc", ""),
        ('{"error":"invalid_client","request_id":"5f"}', "", '{"error":"invalid_client","request_id":"5f"}'),
        ("", "", ""),
    ],
)
def test_a_refusal_is_shown_in_the_words_of_the_server(tmp_path: Path, answer: str, taken: str, told: str) -> None:
    """No page hides it behind a traceback; of a server that is away curl has told before."""
    (field,) = {field for page in PAGES for field in _FIELD.findall(page) if "sys.exit" in field}
    (tmp_path / "answer").write_text(answer)
    with terminal(tmp_path, {"PATH": os.environ["PATH"]}) as shell:
        shell.run(field)
        assert shell.run("TOKEN=$(field access_token < answer 2> told); echo $TOKEN").strip() == taken
    assert (tmp_path / "told").read_text().strip() == told
