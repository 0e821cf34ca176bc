"""What a failure of SQLite becomes: never a guess, never an answer (catalogue DB-01 to DB-04, LOG-03)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from authserver.core.errors import Conflict, TemporarilyUnavailable, ValidationFailed
from authserver.storage.connections import DANGLING

_UNIQUE = frozenset(("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"))


@contextmanager
def failing_closed(*, taken: str) -> Iterator[None]:
    """Turn every failure of the backend into one of our errors.

    A violated uniqueness raises Conflict(`taken`); text that is no Unicode raises ValidationFailed; a lock that was
    not had in time, a full disk, a read-only or damaged file, an exhausted pool raise TemporarilyUnavailable.
    """
    try:
        yield
    except IntegrityError as error:
        unique = getattr(error.orig, "sqlite_errorname", "") in _UNIQUE
        raise Conflict(taken if unique else DANGLING) from error
    except UnicodeEncodeError:
        # Not chained: the error repeats the text.
        raise ValidationFailed.of("text", "is not valid Unicode") from None
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise TemporarilyUnavailable(f"database: {_cause(error)}") from error


def _cause(error: BaseException) -> str:
    """Return the driver's own words: they name no parameter."""
    orig = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(orig).__name__}: {orig}"
