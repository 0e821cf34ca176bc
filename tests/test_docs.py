"""The documentation holds: commands run as they stand, tables are those of the code, links lead somewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from authserver.claims.template import compile_template
from tests.docs.page import Step, steps
from tests.reference import REFERENCE, reference
from tests.server import start_server

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
QUICK_STARTS = sorted(ROOT.glob("docs/quickstart/*.md"))

_CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_PROGRAM = re.compile(r"^```(?:python|caddyfile|nginx)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_DOCUMENT = re.compile(r"^```(?:json|text)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")
_END = "---end-of-output---"

#: What differs from run to run, and what a page may shorten with an ellipsis.
_VARIABLE = [
    (re.compile(r"eyJ[\w.…-]+"), "TOKEN"),
    (re.compile(r"\b(cl|cs|cred|res)_[\w…]+"), r"\1_ID"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "JTI"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r'("(?:iat|nbf|exp|expires_at|revoked_at_ms)": ?)\d+'), r"\1TIME"),
    (re.compile(r'("(?:kid|x|y)": ?)"[\w…-]+"'), r'\1"KEY"'),
    (re.compile(r"127\.0\.0\.1:\d+"), "HOST"),
]


def _masked(text: str) -> str:
    for pattern, replacement in _VARIABLE:
        text = pattern.sub(replacement, text)
    return text.strip()


def _blocks(path: Path) -> list[str]:
    return _CONSOLE.findall(path.read_text(encoding="utf-8"))


def _type(blocks: Sequence[str], directory: Path) -> None:
    """Run the blocks in one shell, beside a fresh server, and compare what they print."""
    (directory / ".venv").symlink_to(Path(sys.prefix))
    (directory / "data").mkdir(mode=0o700)
    typed: list[Step] = [step for block in blocks for step in steps(block)]
    with start_server(directory / "data") as server:
        script = "".join(f"{step.command}\necho {_END}\n" for step in typed)
        script = script.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        environment = {k: v for k, v in server.environment.items() if k != "AUTHSERVER_DATA_DIR"}
        run = subprocess.run(
            ["bash"], input=script, cwd=directory, env=environment, capture_output=True, text=True, check=False
        )
    outputs = run.stdout.split(_END + "\n")
    assert len(outputs) == len(typed) + 1, run.stderr
    for step, output in zip(typed, outputs, strict=False):
        assert _masked(output) == _masked(step.output), f"$ {step.command}\n{run.stderr}"


@pytest.mark.parametrize("path", [p for p in PAGES if _blocks(p)], ids=lambda p: p.name)
def test_the_commands_of_a_page_print_what_it_shows(path: Path, tmp_path: Path) -> None:
    """Every console block runs as it stands, in one shell, beside a fresh server."""
    _type(_blocks(path), tmp_path)


@pytest.mark.parametrize("readme_first", [True, False], ids=["README first", "README last"])
def test_one_page_after_another(readme_first: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """The pages stand one another, in one directory; a block that was typed on one of them is skipped on the next."""
    readme = _blocks(ROOT / "README.md")
    registrations = [block for path in QUICK_STARTS for block in _blocks(path)[:1]]
    others = registrations + [block for path in PAGES if path.parent != ROOT for block in _blocks(path)]
    _type(list(dict.fromkeys(readme + others if readme_first else others + readme)), tmp_path)


def test_the_pages_name_the_wheel_that_is_built() -> None:
    """What a reader installs is the file that `make wheel` makes of this version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    pages = "".join(path.read_text(encoding="utf-8") for path in [*PAGES, *QUICK_STARTS])
    assert set(re.findall(r"dist/([\w.-]+\.whl)", pages)) == {f"authserver-{version}-py3-none-any.whl"}
    assert "pip install authserver" not in pages


def test_what_the_readme_shows_of_other_pages_is_run_there() -> None:
    """Each program and configuration in the README stands in a page whose own test runs it."""
    pages = [path.read_text(encoding="utf-8") for path in ROOT.glob("docs/**/*.md")]
    shown = _PROGRAM.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(shown) >= 3
    assert [block for block in shown if not any(block in page for page in pages)] == []


def test_the_reference_is_that_of_the_code() -> None:
    """Every setting, route, command, audit event and metric is documented: else run `make reference`."""
    assert REFERENCE.read_text(encoding="utf-8") == reference()


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    """A relative link names a file of the repository."""
    for target in _LINK.findall(path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_the_templates_of_the_claims_page_compile() -> None:
    """Each template compiles, and the first one renders to what the page shows."""
    blocks = _DOCUMENT.findall((ROOT / "docs" / "claims.md").read_text(encoding="utf-8"))
    template, rendered, declared = blocks
    assert compile_template(declared).request_parameters == {"user_id", "plan"}
    metadata = {"stytch_user_id": "user-7", "tenant": 42}
    context: dict[str, dict[str, Any]] = {
        "client": {"client_name": "billing", "trusted_metadata": metadata},
        "workspace": {"name": "default"},
    }
    assert compile_template(template).render(context) == json.loads(rendered)
