"""Scopes (RFC 6749 §3.3): parsed once into a tuple of names, compared as sets, ordered by inclusion."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from authserver.core.errors import InvalidScope

MAX_SCOPE_CHARACTERS = 4096
MAX_SCOPES = 100

#: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")

Scopes = tuple[str, ...]

#: For each scope all the others that it contains, itself among them.
Inclusion = Mapping[str, frozenset[str]]

NO_INCLUSION: Inclusion = MappingProxyType({})


def parse_scope(text: str) -> Scopes:
    """Return the scope names of `text`, in order, without repetition; raise InvalidScope.

    The length is checked first: the work for a hostile value stays constant.
    """
    if not text:
        return ()
    if len(text) > MAX_SCOPE_CHARACTERS:
        raise InvalidScope(f"scope is longer than {MAX_SCOPE_CHARACTERS} characters")
    if not _SCOPE.fullmatch(text):
        raise InvalidScope("scope has a character or a space where RFC 6749 §3.3 allows none")
    names = tuple(dict.fromkeys(text.split(" ")))
    if len(names) > MAX_SCOPES:
        raise InvalidScope(f"more than {MAX_SCOPES} scopes")
    return names


def format_scope(names: Iterable[str]) -> str:
    """Return the wire form: names with one space between (RFC 6749 §3.3)."""
    return " ".join(names)


def close_inclusion(direct: Mapping[str, Iterable[str]]) -> Inclusion:
    """Follow "`write` includes `read`" to the end: each scope with everything that it contains."""
    closed: dict[str, frozenset[str]] = {}
    for name in direct:
        seen: set[str] = set()
        open_names = [name]
        while open_names:
            current = open_names.pop()
            if current not in seen:
                seen.add(current)
                open_names.extend(direct.get(current, ()))
        closed[name] = frozenset(seen)
    return closed


def expand(granted: Iterable[str], inclusion: Inclusion) -> frozenset[str]:
    """Return the granted scopes and all that they include."""
    result: set[str] = set()
    for name in granted:
        result |= inclusion.get(name, frozenset((name,)))
    return frozenset(result)
