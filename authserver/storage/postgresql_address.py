"""A PostgreSQL URL: `postgresql://user:password@host:5432/database?sslmode=verify-full`, as libpq reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from authserver.core.errors import ConfigurationError

_SETTING = "AUTHSERVER_DATABASE_URL"
_FORM = "write postgresql://user:password@host:5432/database"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]@]+)(?::(\d{1,5}))?")
_PARAMETERS = frozenset(
    ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_min_protocol_version"),
)
_SSL_MODES = frozenset(("disable", "allow", "prefer", "require", "verify-ca", "verify-full"))
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class PostgresqlAddress:
    """Where the database is. `dsn` may hold a password; `place` (host:port/database) and `user` may be shown."""

    dsn: str = field(repr=False)
    place: str
    user: str


def postgresql_address(url: str) -> PostgresqlAddress:
    """Read a URL; raise ConfigurationError, which repeats nothing that could be part of a password."""
    rest = url.partition("://")[2]
    try:
        parts = urlsplit(f"postgresql://{rest}")
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _refusal(f"not a URL; {_FORM}") from None
    if parts.fragment or "#" in rest:
        raise _refusal("a '#' stands in it; in a password write %23")
    credentials, _, hosts = parts.netloc.partition("@")
    user, database = unquote(credentials.partition(":")[0]), unquote(parts.path.removeprefix("/"))
    if not hosts or not all(map(_is_host, hosts.split(","))):
        raise _refusal(f"the host or port cannot be read; {_FORM}; in a password write @ as %40, / as %2F, : as %3A")
    if not user or not database or "/" in database or "\x00" in user + database:
        raise _refusal(f"user or database is missing; {_FORM}")
    _check_parameters(parameters)
    return PostgresqlAddress(dsn=f"postgresql://{rest}", place=f"{hosts}/{database}", user=user)


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    return found is not None and (found[2] is None or 0 < int(found[2]) <= _HIGHEST_PORT)


def _check_parameters(parameters: dict[str, str]) -> None:
    if set(parameters) - _PARAMETERS:
        raise _refusal(f"it takes no parameters but {', '.join(sorted(_PARAMETERS))}")
    if parameters.get("sslmode", "prefer") not in _SSL_MODES:
        raise _refusal(f"sslmode is one of {', '.join(sorted(_SSL_MODES))}")


def _refusal(problem: str) -> ConfigurationError:
    return ConfigurationError(f"{_SETTING}: {problem}")
