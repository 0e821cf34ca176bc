"""asyncpg, the driver of PostgreSQL: there only when the extra `postgresql` is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authserver.core.errors import ConfigurationError
from authserver.storage.postgresql_address import PostgresqlAddress

try:
    import asyncpg  # type: ignore[import-untyped]
except ModuleNotFoundError:
    raise ConfigurationError(
        "AUTHSERVER_DATABASE_URL: the driver is missing: install authserver with its extras [server,postgresql].",
    ) from None

__all__ = ["asyncpg", "open_connection"]


async def open_connection(
    address: PostgresqlAddress, *, seconds: float, command_seconds: float | None, settings: Mapping[str, str]
) -> Any:
    """Connect, within `seconds` and to a primary only: a standby would not know the newest revocations.

    `settings` are the server's, for this session. Raises what the driver raises.
    """
    return await asyncpg.connect(
        address.dsn,
        timeout=seconds,
        command_timeout=command_seconds,
        server_settings=dict(settings),
        target_session_attrs="primary",
    )
