"""Which backend a database URL names. Nothing of a backend is imported to tell."""

from __future__ import annotations

from pathlib import Path

from authserver.storage.sqlite_file import sqlite_path

POSTGRESQL_SCHEMES = frozenset(("postgresql", "postgres", "postgresql+asyncpg"))


def names_postgresql(url: str) -> bool:
    """Tell whether the URL names a PostgreSQL server, by its scheme alone."""
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme in POSTGRESQL_SCHEMES


def database_file(url: str) -> Path | None:
    """Return the file of a SQLite database, None for a server; raise ConfigurationError for any other URL."""
    return None if names_postgresql(url) else sqlite_path(url)
