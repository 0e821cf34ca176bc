"""What the integrations show in their docstrings."""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path

import pytest

from authserver import resource_server

MODULES = ["asgi", "wsgi", "django", "flask", "fastapi", "starlette", "mcp", "testing"]


@pytest.mark.parametrize("name", MODULES)
def test_an_example_is_code(name: str) -> None:
    """It is indented, as such, and could be typed as it stands."""
    source = Path(inspect.getfile(resource_server)).with_name(f"{name}.py").read_text(encoding="utf-8")
    lines = (ast.get_docstring(ast.parse(source)) or "").splitlines()
    example = "\n".join(line for line in lines if line.startswith("    "))
    assert ast.parse(textwrap.dedent(example).replace("…", "...")).body
