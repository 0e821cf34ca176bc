"""The shape of the code: what the import contracts cannot say."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import authserver
from authserver.core import ports

PACKAGE = Path(authserver.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 50
MAX_PROTOCOL_METHODS = 5


def test_the_map_names_every_package_in_the_order_of_the_layers() -> None:
    """The docstring of `authserver` lists each package once; nothing else stands there."""
    listed = [line.split("/")[0] for line in (authserver.__doc__ or "").splitlines() if "/  " in line]
    packages = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert len(listed) == len(set(listed))
    assert set(listed) == packages


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_module_says_what_it_is_and_stays_small(path: Path) -> None:
    """A docstring first, at most 350 lines, functions of at most 50."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "misc", "manager"])
def test_no_name_says_nothing(word: str) -> None:
    """No module is called by a word that would fit any content."""
    assert not [path for path in MODULES if path.stem == word or word in path.parts]


def test_store_protocols_stay_small() -> None:
    """A Protocol of the ports has at most five methods."""
    for name, protocol in inspect.getmembers(ports, inspect.isclass):
        if getattr(protocol, "_is_protocol", False) and protocol.__module__ == ports.__name__:
            methods = [method for method in vars(protocol) if not method.startswith("_")]
            assert len(methods) <= MAX_PROTOCOL_METHODS, name
