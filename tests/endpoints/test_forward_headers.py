"""Identity as header fields: whatever a token says, one line stays one line and can be read back."""

from __future__ import annotations

import contextlib
import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.core.errors import AccessDenied
from authserver.core.identity import Identity
from authserver.endpoints.forward_headers import MAX_VALUE_BYTES, claim_value, header_value, identity_fields

TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def identity(**changes: Any) -> Identity:
    """Return an identity, some members changed."""
    honest = {"client_id": "cl", "subject": "sub", "workspace_id": "ws", "scope": "a b", "scopes": frozenset("ab")}
    return Identity(**{**honest, "claims": {}, **changes})


def is_visible(value: bytes) -> bool:
    """Tell whether a value is visible ASCII throughout."""
    return all(0x20 < byte < 0x7F for byte in value)


@given(TEXT)
def test_property_texts_come_back(text: str) -> None:
    """A text is visible ASCII on the wire, and itself once its escapes are undone."""
    value = header_value(text)
    assert is_visible(value)
    assert unquote(value.decode()) == text


@given(VALUES)
def test_property_claims_come_back(claim: Any) -> None:
    """A claim is visible ASCII; a text is itself, nothing is nothing, all else is JSON."""
    value = claim_value(claim)
    assert is_visible(value)
    read = unquote(value.decode())
    assert read == (claim or "") if claim is None or isinstance(claim, str) else json.loads(read) == claim


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_fuzz_no_line_ends(client_id: str, subject: str, scope: str) -> None:
    """LOG-01: no character of an identity, lone surrogates among them, ends a line or leaves ASCII."""
    for _, value in identity_fields(identity(client_id=client_id, subject=subject, scope=scope), ()):
        assert is_visible(value.replace(b" ", b""))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        (True, b"true"),
        (0, b"0"),
        (1.5, b"1.5"),
        (None, b""),
        ("100 %", b"100%20%25"),
        ("a\r\nSet-Cookie: x", b"a%0D%0ASet-Cookie:%20x"),
        ("é", b"%C3%A9"),
        ([1, "a b"], b'[1,"a%20b"]'),
        ({"a": {"b": None}}, b'{"a":{"b":null}}'),
    ],
)
def test_claims(claim: Any, value: bytes) -> None:
    """Numbers, lists and objects are compact JSON; what is not visible is escaped."""
    assert claim_value(claim) == value


def test_all_fields_are_there() -> None:
    """A proxy that copies the fields overwrites what a client sent, also where there is nothing to say."""
    names = [b"x-auth-client-id", b"x-auth-subject", b"x-auth-scope", b"x-auth-workspace", b"x-auth-user-id"]
    claims = [("user_id", b"x-auth-user-id")]
    assert identity_fields(None, claims) == tuple((name, b"") for name in names)
    found = identity_fields(identity(scope=""), claims)
    assert found == tuple(zip(names, (b"cl", b"sub", b"", b"ws", b""), strict=True))


def test_the_whole_is_bounded() -> None:
    """What no proxy could hold in its buffer is refused, also when only the escapes make it so long."""
    claims = [("a", b"x-auth-a"), ("b", b"x-auth-b")]
    half = "a" * (MAX_VALUE_BYTES // 2)
    assert identity_fields(identity(claims={"a": half, "b": half[:-20]}), claims)
    for given_claims in ({"a": half, "b": half}, {"a": "é" * 2000}, {"a": 1}):
        subject = "s" * MAX_VALUE_BYTES if given_claims["a"] == 1 else "s"
        with pytest.raises(AccessDenied):
            identity_fields(identity(claims=given_claims, subject=subject), claims)


@pytest.mark.parametrize("claim", [10**4000, 10**5000, -(2**70), {"a": [10**30]}], ids=["4000", "5000", "70", "30"])
def test_numbers_beyond_everything(claim: Any) -> None:
    """U1: a number that no template makes is handed on or refused, never a failure."""
    with contextlib.suppress(AccessDenied):
        assert is_visible(claim_value(claim))
