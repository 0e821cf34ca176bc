"""What services and callers import needs no more than `pip install authserver` brings."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: What only the extras bring.
ABSENT = [
    *("aiosqlite", "alembic", "asyncpg", "click", "hiredis", "httptools", "msgspec", "prometheus_client", "pydantic"),
    *("redis", "sqlalchemy", "starlette", "structlog", "uvicorn", "uvloop", "django", "fastapi", "flask", "mcp"),
    "requests",
]

IMPORTED = (
    "authserver.resource_server",
    "authserver.resource_server.asgi",
    "authserver.resource_server.wsgi",
    "authserver.resource_server.metadata",
    "authserver.token_client",
)


@pytest.mark.parametrize("module", IMPORTED)
def test_a_light_install_is_enough(module: str) -> None:
    """The module is imported where none of the server's own dependencies is installed."""
    code = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", IMPORTED)
def test_a_system_that_cannot_fork(module: str) -> None:
    """The module is imported where `os` knows nothing of forks, as on Windows."""
    code = f"import os; del os.register_at_fork, os.fork; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
