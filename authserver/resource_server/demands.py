"""What a service demands of its callers, read once and strictly: what is mistyped here would let people in."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class ScopeNames(tuple[str, ...]):
    """Scopes that `scope_names` has read: it need not look at them again for each request."""

    __slots__ = ()


#: Any token will do.
NO_SCOPES = ScopeNames()


def scope_names(scopes: Iterable[str]) -> ScopeNames:
    """Return the scopes of a list, or of a text with spaces: `"read"` must not be taken for four letters.

    A tuple, so that an iterator is not empty the second time. Raises TypeError for what is neither, and ValueError for
    a name that no scope can have (RFC 6749 §3.3).
    """
    if type(scopes) is ScopeNames:
        return scopes
    names = ScopeNames(scopes.split() if isinstance(scopes, str) else scopes)
    if not names and isinstance(scopes, str) and scopes:
        raise ValueError("a string of spaces names no scope")
    for name in names:
        if not isinstance(name, str):
            raise TypeError("scopes must be a string, or a list of strings")
        if not _SCOPE_TOKEN.fullmatch(name):
            raise ValueError(f"{name!a} cannot be the name of a scope")
    return names


def choice_names(any_of: Iterable[str]) -> ScopeNames:
    """Return scopes one of which is needed; raise as `scope_names` does, and ValueError for an empty list.

    That would let in nobody, or anybody, depending on who reads it. NO_SCOPES is no choice: any token will do.
    """
    names = scope_names(any_of)
    if not names and any_of is not NO_SCOPES:
        raise ValueError("any_of names no scope: leave it out where any token will do")
    return names


class Gate:
    """What every request must show before the application sees it: scopes, unless its path is exempt."""

    __slots__ = ("_except_paths", "_needed", "is_open")

    def __init__(self, require: Collection[str] | None, except_paths: Collection[str]) -> None:
        """`require` None leaves it all to the routes; raises as `scope_names` and `exact_paths` do."""
        self.is_open = require is None
        self._needed = None if require is None else scope_names(require)
        self._except_paths = exact_paths(except_paths)

    def demand(self, path: str) -> ScopeNames | None:
        """Return the scopes that a request for this path must have; None leaves it to the routes."""
        return None if path in self._except_paths else self._needed


def exact_paths(paths: Collection[str]) -> frozenset[str]:
    """Return paths that need no token; raise TypeError for a text, whose letters would be taken for paths."""
    if isinstance(paths, str) or not all(path.startswith("/") for path in paths):
        raise TypeError('except_paths must be a list of paths, each beginning with "/"')
    return frozenset(paths)
