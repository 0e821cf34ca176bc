"""What an object does first in a forked child process, where the threads, locks and sockets of its parent are dead."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    """Something that has to begin anew in a child."""

    def after_fork(self) -> None:
        """Begin anew; called in the child, before anything else runs there."""


_told: weakref.WeakSet[Forkable] = weakref.WeakSet()


def tell_after_fork(what: Forkable) -> None:
    """Call `what.after_fork()` in each forked child, as long as the object lives; nothing where nobody can fork."""
    _told.add(what)


def _tell() -> None:
    for what in tuple(_told):
        what.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tell)
