"""The page for users holds: each of its programs runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from authserver.token_client import ClientCredentials
from tests.server import RunningServer
from tests.token_client.scripted_server import ScriptedServer

PAGE = (Path(__file__).parents[2] / "docs" / "token-client.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def secret(server: RunningServer) -> str:
    """Return the secret of the page's client."""
    return str(server.create_client(client_id="billing")["client_secret"])


@pytest.fixture
def run(server: RunningServer, secret: str, scripted: ScriptedServer, tmp_path: Path) -> Callable[[str], str]:
    """Return what runs a program beside a file with the secret; the ports of server and resource are put in."""
    (tmp_path / "billing.secret").write_text(secret + "\n")

    def run_program(program: str) -> str:
        program = program.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        program = program.replace("127.0.0.1:9000", f"127.0.0.1:{scripted.port}")
        command = [sys.executable, "-W", "error", "-c", program]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run_program


@pytest.mark.parametrize(
    ("number", "printed", "sent"), [(0, "200\n", 1), (1, "{200}\n", 100), (2, "200\n", 1), (3, "", 0)]
)
def test_the_programs_of_the_page_run(
    run: Callable[[str], str], scripted: ScriptedServer, number: int, printed: str, sent: int
) -> None:
    """They print nothing but what they should, and each request carries a token."""
    assert run(PROGRAMS[number]) == printed
    assert len(scripted.seen) == sent
    assert all(seen.bearer for seen in scripted.seen)


def test_every_program_of_the_page_is_run() -> None:
    """The list above is that of the page."""
    assert len(PROGRAMS) == 4


def test_every_option_is_on_the_page() -> None:
    """The table of options names each parameter."""
    assert ClientCredentials.__init__.__kwdefaults__
    for option in ["client_id", "client_secret", *ClientCredentials.__init__.__kwdefaults__]:
        assert f"`{option}`" in PAGE
