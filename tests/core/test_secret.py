"""Secrets: their format, their checksum and what is stored of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.core.client import AuthMethod, ClientSecret, SecretState
from authserver.core.credentials import Credentials
from authserver.core.secret import (
    GENERATED_ROUNDS,
    IMPORTED_ROUNDS,
    SecretHash,
    derive,
    generate_secret,
    hint_of,
    is_generated,
    new_salt,
    rounds_for,
)

SECRET = generate_secret("cs")
SALT = bytes(range(16))


def test_a_generated_secret_has_its_format() -> None:
    """AUTH-10: a readable prefix, 256 bits, a checksum; no character that any encoding touches."""
    assert re.fullmatch(r"cs_[A-Za-z0-9]{49}", SECRET)
    assert is_generated(SECRET)
    assert len({generate_secret("cs") for _ in range(100)}) == 100


@given(st.integers(0, len(SECRET) - 1), st.sampled_from("abcXYZ019_-é"))
def test_every_typo_is_noticed_offline(position: int, character: str) -> None:
    """AUTH-16: one wrong character breaks the checksum, so that a scanner or a form can tell."""
    typo = SECRET[:position] + character + SECRET[position + 1 :]
    assert is_generated(typo) == (typo == SECRET)


@given(st.text(max_size=80))
def test_what_was_not_generated_costs_many_rounds(text: str) -> None:
    """AUTH-16: only our own format is cheap to check: anything else may be a weak secret."""
    assert rounds_for(text) == (GENERATED_ROUNDS if is_generated(text) else IMPORTED_ROUNDS)
    assert not is_generated(text)


def test_near_misses_are_not_generated() -> None:
    """AUTH-16: no prefix, no body or another case is not our format."""
    for text in ("", "_", "cs_", SECRET[3:], f"_{SECRET[3:]}", SECRET + " ", SECRET.swapcase()):
        assert not is_generated(text)


def test_a_hash_is_read_back_and_matches_only_its_secret() -> None:
    """AUTH-26: the stored form says scheme, rounds and salt, and holds no secret."""
    stored = str(SecretHash.of(SECRET, SALT))
    parsed = SecretHash.parse(stored)
    assert (parsed.rounds, parsed.salt) == (GENERATED_ROUNDS, SALT)
    assert parsed.matches(derive(SECRET, SALT, GENERATED_ROUNDS))
    assert not parsed.matches(derive(generate_secret("cs"), SALT, GENERATED_ROUNDS))
    assert not parsed.matches(derive(SECRET, new_salt(), GENERATED_ROUNDS))
    assert SECRET not in stored


@given(st.text(max_size=60) | st.lists(st.text(max_size=12), min_size=4, max_size=4).map("$".join))
def test_a_damaged_hash_is_a_value_error(text: str) -> None:
    """AUTH-26: whatever stands in the column, reading it raises ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"\S"):
        SecretHash.parse(text)


@given(st.integers(0, 60), st.characters(codec="ascii"))
def test_a_changed_hash_is_refused_or_matches_nothing(position: int, character: str) -> None:
    """AUTH-26: no single changed character makes another secret right."""
    stored = str(SecretHash(GENERATED_ROUNDS, SALT, derive(SECRET, SALT, GENERATED_ROUNDS)))
    changed = stored[:position] + character + stored[position + 1 :]
    try:
        parsed = SecretHash.parse(changed)
    except ValueError:
        return
    matches = parsed.rounds <= GENERATED_ROUNDS and parsed.matches(derive(SECRET, parsed.salt, parsed.rounds))
    assert matches == (parsed == SecretHash.parse(stored))


@pytest.mark.parametrize("rounds", ["0", "-1", "600001", "9" * 30, "x", ""])
def test_the_rounds_are_bounded(rounds: str) -> None:
    """AUTH-16: a row in the database cannot make a check cost more than the most expensive one."""
    scheme, _, salt, digest = str(SecretHash.of(SECRET, SALT)).split("$")
    with pytest.raises(ValueError, match=r"\S"):
        SecretHash.parse(f"{scheme}${rounds}${salt}${digest}")


def test_representations_show_no_secret() -> None:
    """LOG-06: `repr` of what holds a secret, a salt or a hash shows neither."""
    hashed = SecretHash.of(SECRET, SALT)
    entry = ClientSecret(
        credential_id="cr",
        client_id="c",
        state=SecretState.ACTIVE,
        secret_hash=str(hashed),
        secret_hint="1",
        created_at=0,
    )
    presented = Credentials(AuthMethod.CLIENT_SECRET_BASIC, "c", SECRET)
    for value in (hashed, entry, presented):
        assert SECRET not in repr(value)
        assert str(hashed) not in repr(value)
        assert repr(hashed.digest) not in repr(value)


def test_the_hint_is_the_end() -> None:
    """ADM-06: four characters, enough to tell two secrets apart."""
    assert hint_of(SECRET) == SECRET[-4:]
    assert hint_of("ab") == "ab"
