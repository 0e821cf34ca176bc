"""docs/resource-server.md holds: its programs run as they stand, and it names all that is public."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from authserver import resource_server
from authserver.resource_server import Status, Verifier
from tests.docs.page import steps
from tests.docs.terminal import terminal
from tests.server import start_server

PAGE = (Path(__file__).parents[2] / "docs" / "resource-server.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
BLOCKS = re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a directory beside a server, in which all commands of the page were typed."""
    directory = tmp_path_factory.mktemp("reader")
    (directory / ".venv").symlink_to(sys.prefix)
    (directory / "data").mkdir(mode=0o700)
    with start_server(directory / "data") as server:
        own = {"HOME": str(directory), "PATH": os.environ["PATH"]}
        kept = {name: value for name, value in server.environment.items() if name != "AUTHSERVER_DATA_DIR"}
        with terminal(directory, kept | own) as shell:
            for step in steps("".join(BLOCKS)):
                assert shell.run(step.command.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")) == step.output
        yield directory


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (0, "cl_? ['read', 'write']\n401 ('WWW-Authenticate', 'Bearer error=\"invalid_token\", error_description="),
        (1, "cl_?\n403 admin\nTrue\n"),
        (2, "403\n"),
    ],
)
def test_the_programs_of_the_page_run(registered: Path, number: int, printed: str) -> None:
    """They print nothing but what they should, and no warning."""
    command = [sys.executable, "-W", "error", "-c", PROGRAMS[number]]
    done = subprocess.run(command, cwd=registered, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(printed.replace("cl_?", "billing"))


def test_every_program_of_the_page_is_run() -> None:
    """The list above is that of the page."""
    assert len(PROGRAMS) == 3


def test_everything_public_is_on_the_page() -> None:
    """Each option, each name that can be imported, and each member of a status."""
    options = set(inspect.signature(Verifier.from_config).parameters) | set(
        inspect.signature(Verifier.verify).parameters
    )
    names = options - {"self", "token"} | {field.name for field in fields(Status)} | set(resource_server.__all__)
    indirectly = {"Proof", "Status", "ThreadVerifier", "Verifier", "Refusal"}
    assert {name for name in names - indirectly if not re.search(rf"`{name}\b", PAGE)} == set()


@pytest.mark.parametrize("module", ["asgi", "starlette", "fastapi", "wsgi", "flask", "django", "mcp"])
def test_every_integration_is_on_the_page(module: str) -> None:
    """What the page imports from it is there."""
    row = next(line for line in PAGE.splitlines() if f"`authserver.resource_server.{module}`" in line)
    path = Path(resource_server.__file__).with_name(f"{module}.py")
    names = re.findall(r"\b(?:ResourceServer\w*|AccessTokenVerifier|require|current_token)\b", row)
    assert all(re.search(rf"\b{name}\b", path.read_text(encoding="utf-8")) for name in names)
