"""A database on PostgreSQL, opened for a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from authserver.storage.database import Database, open_database

from .subjects import NOW


def open_at(url: str) -> Database:
    """Open the database at a URL, at the time NOW."""
    return open_database(url, clock=lambda: NOW * 1000)


def name_in(url: str) -> str:
    """Return the name of the database in a URL."""
    return url.rpartition("/")[2]


def run_at(url: str, scenario: Callable[[Database], Awaitable[None]]) -> None:
    """Run a scenario on the database at a URL, and close it."""

    async def opened() -> None:
        database = open_at(url)
        try:
            await scenario(database)
        finally:
            await database.close()

    asyncio.run(opened())
