"""What a failure of PostgreSQL becomes: never a guess, never an answer (catalogue DB-03, DB-06, LOG-03).

An error of asyncpg can repeat a parameter in its DETAIL, or in its own words: none is chained, and of what it says
only the code and, where that names no value, the primary message are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from authserver.core.errors import (
    AuthServerError,
    ConfigurationError,
    Conflict,
    TemporarilyUnavailable,
    ValidationFailed,
)
from authserver.storage.connections import DANGLING, Collision
from authserver.storage.postgresql_address import PostgresqlAddress
from authserver.storage.postgresql_driver import asyncpg

_SETTING = "AUTHSERVER_DATABASE_URL"
_COLLISIONS = frozenset(("40001", "40P01"))  # serialization failure, deadlock detected
_UNIQUE = "23505"
_DATA, _INTEGRITY = "22", "23"  # classes whose messages may name a value


@contextmanager
def failing_closed(*, taken: str) -> Iterator[None]:
    """Turn every failure of the backend into one of our errors.

    A violated uniqueness raises Conflict(`taken`); text that PostgreSQL cannot hold (NUL, no Unicode) raises
    ValidationFailed; a transaction undone for another one Collision; a lock that was not had in time, a lost
    connection, a full disk, an exhausted pool TemporarilyUnavailable.
    """
    try:
        yield
    except AuthServerError:
        raise
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, UnicodeError) as error:
        raise _failure(cause_of(error), taken) from None


def cause_of(error: BaseException) -> BaseException:
    """Return the driver's own error from within SQLAlchemy's wrapping."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def describe(error: BaseException) -> str:
    """Return what may be logged of the driver's error."""
    state = sqlstate(error)
    if not state:
        return "no answer in time" if isinstance(error, TimeoutError) else _plain(error)
    if state.startswith((_DATA, _INTEGRITY)):
        return f"{type(error).__name__} ({state})"
    return f"{error.args[0] if error.args else type(error).__name__} ({state})"


def sqlstate(error: BaseException) -> str:
    """Return the five characters by which PostgreSQL names a failure, "" for one that it did not report."""
    return str(getattr(error, "sqlstate", None) or "")


def configuration_error(error: BaseException, address: PostgresqlAddress) -> ConfigurationError:
    """Say in one line why the database cannot be used, and what to do; the password is never in it."""
    cause = cause_of(error)
    state, place, user = sqlstate(cause), address.place, address.user
    remedies = {
        "28P01": f"{place} refuses the password of the user {user}",
        "28000": f"{place} lets the user {user} not in: see pg_hba.conf, and whether it demands sslmode=require",
        "3D000": f"there is no database at {place}: create it first (createdb)",
        "42501": f"the user {user} lacks a permission at {place}: {describe(cause)}; let it own the database or schema",
        "3F000": f"no schema at {place} to create tables in: see the search_path of the user {user}",
        "53300": f"{place} has no connection left: raise max_connections, or stop what holds them",
        "57P03": f"{place} is starting up or shutting down; try again",
        "42704": f"{place} does not know a parameter of the URL",
    }
    if state in remedies:
        return ConfigurationError(f"{_SETTING}: {remedies[state]}")
    if state:
        return ConfigurationError(f"{_SETTING}: cannot use {place}: {describe(cause)}")
    return ConfigurationError(f"{_SETTING}: cannot reach {place}: {describe(cause)}")


def _failure(error: BaseException, taken: str) -> AuthServerError:
    state = sqlstate(error)
    if state.startswith(_INTEGRITY):
        return Conflict(taken if state == _UNIQUE else DANGLING)
    if state in _COLLISIONS:
        return Collision(f"database: {describe(error)}")
    if state.startswith(_DATA) or _is_refused_value(error):
        return ValidationFailed.of("text", "is nothing that the database can hold")
    return TemporarilyUnavailable(f"database: {describe(error)}")


def _is_refused_value(error: BaseException) -> bool:
    """Tell whether the driver refused a parameter before it was sent: a lone surrogate, a number too large."""
    return isinstance(error, asyncpg.DataError | UnicodeError)


def _plain(error: BaseException) -> str:
    """Return the words of the operating system or of the driver about itself; they name no parameter."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, asyncpg.InterfaceError | OSError | SQLAlchemyError):
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}".rstrip(": ")
    return type(error).__name__
