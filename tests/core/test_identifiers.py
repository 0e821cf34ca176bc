"""Identifiers: UUIDv7 with the server's own time (RFC 9562 §5.7), and readable random ids."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.core.identifiers import new_id, new_token_id, token_id_bytes, token_id_ms

_TIMES = st.integers(0, (1 << 48) - 1)


@given(_TIMES)
def test_a_token_id_is_a_uuid_that_carries_its_time(now_ms: int) -> None:
    """RES-07: another implementation reads version, variant and time out of it."""
    token_id = new_token_id(now_ms)
    parsed = uuid.UUID(token_id)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert str(parsed) == token_id
    assert parsed.int >> 80 == token_id_ms(token_id) == now_ms
    assert token_id_bytes(token_id) == parsed.bytes


@given(_TIMES, _TIMES)
def test_token_ids_sort_by_time(one: int, other: int) -> None:
    """REV-13: ids of different milliseconds compare as their times do."""
    if one != other:
        assert (new_token_id(one) < new_token_id(other)) == (one < other)


def test_token_ids_do_not_repeat() -> None:
    """RES-07: within one millisecond 74 random bits tell tokens apart."""
    assert len({new_token_id(1_800_000_000_000) for _ in range(2000)}) == 2000


@pytest.mark.parametrize("text", ["", "x" * 36, "é" * 36, str(uuid.UUID(int=0))[:-1], "\x00" * 36, "0" * 32])
def test_anything_else_is_no_token_id(text: str) -> None:
    """REV-03: what is no UUID raises ValueError, also with digits that are not ASCII."""
    with pytest.raises(ValueError, match=r"UUID|hexadecimal"):
        token_id_bytes(text)


def test_ids_are_readable_and_unique() -> None:
    """AUTH-10: a prefix and base62: no character that a URL, a form or a shell would touch."""
    ids = {new_id("cl") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"cl_[A-Za-z0-9]{22}", client_id) for client_id in ids)
