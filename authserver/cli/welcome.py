"""What `serve --dev` says once its port is open: where things are, and three lines to copy into another terminal."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from authserver.development import ADMIN_TOKEN_FILE, local_address
from authserver.settings import Settings

_DATA_DIR = "AUTHSERVER_DATA_DIR"
_DATABASE_AND_KEY = ("DATABASE_URL", "DATABASE_URL_FILE", "SECRET_KEY", "SECRET_KEY_FILE")


def welcome(settings: Settings, *, environment: Mapping[str, str], program: str) -> str:
    """Return the text; its three lines work as they are in a shell in the same directory."""
    base, command = local_address(settings), command_line(environment, program)
    return f"""
authserver serves on {base}
The admin token lies in {_admin_token_place(settings, environment)}

Create a client, get a token, introspect it{_with_the_same(environment)}:

  CLIENT=$({command} clients create --name demo --scope "read write" --credentials)
  TOKEN=$(curl -s -u "$CLIENT" -d grant_type=client_credentials {base}/oauth2/token | cut -d '"' -f 4)
  curl -s -u "$CLIENT" -d "token=$TOKEN" {base}/oauth2/introspect

Stop with Ctrl-C.
"""


def command_line(environment: Mapping[str, str], program: str) -> str:
    """Return how to call this same program from the same directory, on the same data directory."""
    words = [*_program_words(Path(program))]
    if data_dir := environment.get(_DATA_DIR):
        words.insert(0, f"{_DATA_DIR}={shlex.quote(str(Path(data_dir).absolute()))}")
    return " ".join(words)


def _with_the_same(environment: Mapping[str, str]) -> str:
    """Name the settings that the other terminal needs too; they may be secret, so they are not repeated."""
    names = [f"AUTHSERVER_{name}" for name in _DATABASE_AND_KEY if f"AUTHSERVER_{name}" in environment]
    return f" (with the same {', '.join(names)})" if names else ""


def _program_words(program: Path) -> list[str]:
    if program.suffix == ".py":  # python -m authserver
        return [shlex.quote(sys.executable), "-m", "authserver"]
    found = shutil.which(program.name)
    if found is not None and Path(found).absolute() == program.absolute():
        return [shlex.quote(program.name)]
    absolute, here = program.absolute(), Path.cwd()
    return [shlex.quote(str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute))]


def _admin_token_place(settings: Settings, environment: Mapping[str, str]) -> str:
    for name in ("AUTHSERVER_ADMIN_TOKEN", "AUTHSERVER_ADMIN_TOKEN_FILE"):
        if name in environment:
            return name
    return str(settings.data_dir / ADMIN_TOKEN_FILE)
