"""Where a SQLite database lies, and who may read it: `sqlite:///relative.db`, `sqlite:////absolute.db`."""

from __future__ import annotations

import os
from pathlib import Path

from authserver.core.errors import ConfigurationError

_SCHEMES = frozenset(("sqlite", "sqlite+aiosqlite"))
_SETTING = "AUTHSERVER_DATABASE_URL"
_FORMS = "sqlite:///path/to/authserver.db or postgresql://user:password@host:5432/database"


def sqlite_path(url: str) -> Path:
    """Return the absolute path that a database URL names.

    Raises ConfigurationError for another backend, for a database in memory (it would forget every revocation) and
    for query parameters. The URL itself is not repeated: it may hold a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ConfigurationError(f"{_SETTING}: not a URL; write {_FORMS}")
    if scheme not in _SCHEMES:
        raise ConfigurationError(f"{_SETTING}: this kind of database is not supported; write {_FORMS}")
    name = rest.removeprefix("/")
    if rest in {"", "/"} or name == ":memory:" or name.startswith("file:"):
        raise ConfigurationError(f"{_SETTING}: the database must be a file; write sqlite:///path/to/authserver.db")
    if name == rest:
        raise ConfigurationError(f"{_SETTING}: a SQLite URL names no host; write three slashes before the path")
    if "?" in name or "\x00" in name:
        raise ConfigurationError(f"{_SETTING}: a SQLite URL takes no parameters; remove the '?' and what follows")
    return Path(name).absolute()


def create_file(path: Path) -> None:
    """Make the directory (mode 0700) and an empty database file (mode 0600) where they are missing.

    SQLite gives its `-wal` and `-shm` files the mode of the database. Raises ConfigurationError.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except PermissionError:
        if not path.is_file():
            raise ConfigurationError(f"{_SETTING}: not allowed to create {path}") from None
    except OSError as error:
        raise ConfigurationError(f"{_SETTING}: cannot create {path}: {error.strerror}") from None
