"""The migration that a start waits for, in a process of its own.

What Alembic needs of memory the server never needs again, and the server is loaded meanwhile.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

from authserver.core.errors import ConfigurationError
from authserver.storage import migrate


class Migration:
    """A run of `authserver migrate up` for the settings of this process."""

    def __init__(self) -> None:
        """Begin."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "authserver", "migrate", "up"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    async def finish(self) -> None:
        """Wait for the end; raise ConfigurationError when it failed."""
        complaint = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(complaint), self._process.stderr
        )
        text = (await complaint.read()).decode(errors="replace")  # until it ends
        if self._process.wait():
            raise ConfigurationError(text.strip().removeprefix("Error: "))


def begin_migration(database_url: str) -> Migration | None:
    """Begin what the database needs, if anything; raise ConfigurationError for one that cannot be used."""
    return Migration() if migrate.pending(database_url) else None
