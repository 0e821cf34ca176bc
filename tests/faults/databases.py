"""The databases that a deployment of the fault tests can stand on, and how to look into each of them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pytest

from tests import postgresql
from tests.faults.proxy import Proxy, proxy_to
from tests.postgresql import PostgresqlServer

SQLITE = "sqlite"
POSTGRESQL = "postgresql"

#: For `pytest.mark.parametrize`: both, as far as they can be started here.
DATABASES = [
    pytest.param(SQLITE),
    pytest.param(
        POSTGRESQL,
        marks=pytest.mark.skipif(postgresql.unavailable() is not None, reason=str(postgresql.unavailable())),
    ),
]


class FaultDatabase(Protocol):
    """A database that instances share."""

    def settings(self, network: Proxy | None = None) -> Mapping[str, str]:
        """Return the AUTHSERVER_* variables that name it, by way of `network` if there is one."""

    def network(self) -> contextlib.AbstractContextManager[Proxy | None]:
        """Run a network between one instance and it; None where there is no network."""

    def rows(self, query: str) -> list[tuple[str, ...]]:
        """Return what a query finds, every value as text."""


@dataclass(frozen=True, slots=True)
class SqliteDatabase:
    """The file in the data directory that instances share."""

    path: Path

    def settings(self, network: Proxy | None = None) -> Mapping[str, str]:  # noqa: ARG002 - there is none
        """Return nothing: it is the default."""
        return {}

    def network(self) -> contextlib.AbstractContextManager[Proxy | None]:
        """Return None: a file is next to the instance."""
        return contextlib.nullcontext()

    def rows(self, query: str) -> list[tuple[str, ...]]:
        """Return what a query finds."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return [tuple(map(str, row)) for row in connection.execute(query)]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the write lock until the block is left: nobody else writes."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")


@dataclass(frozen=True, slots=True)
class PostgresqlDatabase:
    """One database of a server."""

    server: PostgresqlServer
    name: str

    def settings(self, network: Proxy | None = None) -> Mapping[str, str]:
        """Return its URL."""
        server = self.server if network is None else replace(self.server, port=network.port)
        return {"AUTHSERVER_DATABASE_URL": server.url(self.name)}

    def network(self) -> contextlib.AbstractContextManager[Proxy | None]:
        """Run a proxy."""
        return proxy_to(self.server.port)

    def rows(self, query: str) -> list[tuple[str, ...]]:
        """Return what a query finds."""
        return [tuple(line.split("|")) for line in self.server.sql(query, database=self.name).splitlines()]


@contextlib.contextmanager
def open_fault_database(kind: str, directory: Path) -> Iterator[FaultDatabase]:
    """Provide one of `DATABASES` until the block is left; `directory` is the data directory of the instances."""
    if kind == SQLITE:
        yield SqliteDatabase(directory / "authserver.db")
        return
    with postgresql.start_postgresql() as server:
        yield PostgresqlDatabase(server, server.create_database())
