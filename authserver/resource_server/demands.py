"""What a service demands of its callers, read once and strictly: what is mistyped here would let people in."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def scope_names(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes of a list, or of a text with spaces: `"read"` must not be taken for four letters.

    A tuple, so that an iterator is not empty the second time. Raises TypeError for what holds anything else.
    """
    names = tuple(scopes.split() if isinstance(scopes, str) else scopes)
    if not all(isinstance(name, str) and name for name in names):
        raise TypeError("scopes must be a text, or a list of texts")
    return names


def exact_paths(paths: Collection[str]) -> frozenset[str]:
    """Return paths that need no token; raise TypeError for a text, whose letters would be taken for paths."""
    if isinstance(paths, str) or not all(path.startswith("/") for path in paths):
        raise TypeError('except_paths must be a list of paths, each beginning with "/"')
    return frozenset(paths)
