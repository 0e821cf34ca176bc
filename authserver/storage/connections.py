"""How the stores reach the database: the door that every backend offers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from authserver.core.errors import TemporarilyUnavailable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

P = ParamSpec("P")
T = TypeVar("T")

#: Until a write has the lock, or a read a connection, or either was refused.
WAIT_BUDGET_MS = 950

#: What a violated uniqueness, and a reference to nothing, are called where a store does not say it better.
TAKEN = "The entry exists already."
DANGLING = "The entry refers to something that does not exist."

#: How long the second and the third attempt of a write wait, at most: all three fit into the budget of one.
RETRY_PAUSE_SECONDS = (0.02, 0.1)


class Connections(Protocol):
    """The connections to one database. `reading`, `writing` and `rows` are the only ways to it.

    One write at a time, in the whole deployment: a write that reads first sees what it will change, and the sequences
    of change log and revocations become visible in their order.
    """

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend a connection outside of any transaction: each statement sees one committed state.

        Raises TemporarilyUnavailable, within a second when every connection is busy.
        """

    def writing(self, *, taken: str = TAKEN) -> AbstractAsyncContextManager[AsyncConnection]:
        """Lend the writing connection within one transaction, committed at the end, rolled back on any error.

        Raises Conflict(`taken`) when a uniqueness is violated, and TemporarilyUnavailable, within a second when
        another writer holds the lock.
        """

    async def rows(self, statement: str, *parameters: object) -> Iterable[Sequence[Any]]:
        """Read by the driver itself, which takes half the time; `$1`, `$2` … stand for the parameters."""

    async def stamp(self) -> object:
        """Return a value that differs whenever another connection may have changed what a cache holds; cheap."""

    async def close(self) -> None:
        """Close every connection; what is asked afterwards raises TemporarilyUnavailable."""


class Collision(TemporarilyUnavailable):
    """The database undid a transaction to let another one finish (catalogue DB-06): `retried` repeats it."""


def retried(write: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Repeat a method that is one transaction, twice at most, when it collided: nothing of it was stored."""

    @wraps(write)
    async def repeat(*args: P.args, **kwargs: P.kwargs) -> T:
        for pause in RETRY_PAUSE_SECONDS:
            try:
                return await write(*args, **kwargs)
            except Collision:
                await asyncio.sleep(pause * random.random())  # noqa: S311 - so that two do not collide again
        return await write(*args, **kwargs)

    return repeat
