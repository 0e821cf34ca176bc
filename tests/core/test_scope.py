"""Scopes: the grammar of RFC 6749 §3.3, and the order of inclusion."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.core.errors import InvalidScope
from authserver.core.scope import (
    MAX_SCOPE_CHARACTERS,
    MAX_SCOPES,
    close_inclusion,
    expand,
    format_scope,
    parse_scope,
)

_CHARACTERS = [chr(code) for code in (0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F))]
_TOKENS = st.text(st.sampled_from(_CHARACTERS), min_size=1, max_size=12)
_NAMES = st.sampled_from("abcdef")
_GRAPHS = st.dictionaries(_NAMES, st.lists(_NAMES, max_size=4))


@given(st.lists(_TOKENS, max_size=20, unique=True))
def test_what_is_written_is_read_back(names: list[str]) -> None:
    """TOK-20: every scope-token of the grammar passes, in its order."""
    assert parse_scope(format_scope(names)) == tuple(names)


@given(st.lists(_TOKENS, max_size=20))
def test_a_repeated_name_counts_once(names: list[str]) -> None:
    """TOK-20: the set matters (§3.3); the order is that of the first mention."""
    assert parse_scope(" ".join(names)) == tuple(dict.fromkeys(names))


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """TOK-20: names of the grammar come out, or InvalidScope; nothing else ever."""
    try:
        names = parse_scope(text)
    except InvalidScope:
        return
    assert set("".join(names)) <= set(_CHARACTERS)
    assert set(text.split(" ")) - {""} == set(names)


@pytest.mark.parametrize(
    "text", [" ", " a", "a ", "a  b", "a\tb", "a\n", 'a"b', "a\\b", "é", "\x7f", "a\x00", "\ud800"]
)
def test_what_the_grammar_has_not_is_refused(text: str) -> None:
    """TOK-20: single spaces between tokens, printable ASCII without quote and backslash."""
    with pytest.raises(InvalidScope):
        parse_scope(text)


def test_both_limits_are_inclusive() -> None:
    """TOK-19: 4,096 characters and 100 names pass, one more of either does not."""
    assert parse_scope("a" * MAX_SCOPE_CHARACTERS)
    assert len(parse_scope(" ".join(f"s{n}" for n in range(MAX_SCOPES)))) == MAX_SCOPES
    for text in ("a" * (MAX_SCOPE_CHARACTERS + 1), " ".join(f"s{n}" for n in range(MAX_SCOPES + 1))):
        with pytest.raises(InvalidScope):
            parse_scope(text)


def test_a_hostile_length_costs_nothing() -> None:
    """TOK-19: 10 MB of names are refused by their length, in no time."""
    text = "a " * 5_000_000
    start = time.process_time()
    with pytest.raises(InvalidScope):
        parse_scope(text)
    assert time.process_time() - start < 0.02  # to look at them takes ten times as long


@given(_GRAPHS)
def test_inclusion_is_closed(direct: dict[str, list[str]]) -> None:
    """RES-06: a scope contains itself, all that it includes, and all that those include; circles end."""
    closed = close_inclusion(direct)
    assert set(closed) == set(direct)
    for name, contained in closed.items():
        assert name in contained
        for inner in contained:
            assert set(direct.get(inner, ())) <= contained


@given(_GRAPHS)
def test_inclusion_adds_nothing_else(direct: dict[str, list[str]]) -> None:
    """RES-06: whatever a scope contains is reached from it, step by step."""
    for name, contained in close_inclusion(direct).items():
        reached = {name}
        while more := {inner for outer in reached for inner in direct.get(outer, ())} - reached:
            reached |= more
        assert contained == reached


@given(_GRAPHS, st.frozensets(_NAMES), st.frozensets(_NAMES))
def test_expansion_is_monotone(direct: dict[str, list[str]], some: frozenset[str], more: frozenset[str]) -> None:
    """RES-06: to be granted more never allows less, and expanding twice changes nothing."""
    inclusion = close_inclusion(direct)
    assert some <= expand(some, inclusion) <= expand(some | more, inclusion)
    assert expand(expand(some, inclusion), inclusion) == expand(some, inclusion)
