"""What a service demands of its callers, read once and strictly: what is mistyped here would let people in."""

from __future__ import annotations

from collections.abc import Collection, Iterable


class ScopeNames(tuple[str, ...]):
    """Scopes that `scope_names` has read: it need not look at them again for each request."""

    __slots__ = ()


#: Any token will do.
NO_SCOPES = ScopeNames()


def scope_names(scopes: Iterable[str]) -> ScopeNames:
    """Return the scopes of a list, or of a text with spaces: `"read"` must not be taken for four letters.

    A tuple, so that an iterator is not empty the second time. Raises TypeError for what holds anything else.
    """
    if type(scopes) is ScopeNames:
        return scopes
    names = ScopeNames(scopes.split() if isinstance(scopes, str) else scopes)
    if not names and isinstance(scopes, str) and scopes:
        raise TypeError("a text of spaces names no scope")
    for name in names:
        if not isinstance(name, str) or not name:
            raise TypeError("scopes must be a text, or a list of texts")
    return names


def exact_paths(paths: Collection[str]) -> frozenset[str]:
    """Return paths that need no token; raise TypeError for a text, whose letters would be taken for paths."""
    if isinstance(paths, str) or not all(path.startswith("/") for path in paths):
        raise TypeError('except_paths must be a list of paths, each beginning with "/"')
    return frozenset(paths)
