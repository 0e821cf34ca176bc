"""Private parts at rest."""

from __future__ import annotations

import pytest

from authserver.core.errors import ConfigurationError
from authserver.keys.errors import SealBroken
from authserver.keys.sealing import Sealer

OLD, NEW = "old" * 20, "new" * 20


def test_a_value_opens_under_its_label_only() -> None:
    """A sealed key moved to the row of another key does not open."""
    sealer = Sealer([OLD])
    sealed = sealer.seal(b"private", label="kid-1")
    assert sealer.unseal(sealed, label="kid-1") == b"private"
    with pytest.raises(SealBroken):
        sealer.unseal(sealed, label="kid-2")


def test_the_first_secret_key_seals_and_all_unseal() -> None:
    """A secret key is replaced by putting the new one in front, and dropped once nothing needs it."""
    sealed_before = Sealer([OLD]).seal(b"private", label="k")
    both = Sealer([NEW, OLD])
    assert both.unseal(sealed_before, label="k") == b"private"
    assert Sealer([NEW]).unseal(both.seal(b"private", label="k"), label="k") == b"private"


def test_the_error_names_the_key_and_the_remedy() -> None:
    """Somebody who starts with another secret key reads which key is lost and what to add."""
    sealed = Sealer([OLD]).seal(b"private", label="kid-1")
    with pytest.raises(SealBroken, match=r"kid-1 cannot be decrypted .* AUTHSERVER_SECRET_KEY; add the earlier key"):
        Sealer([NEW]).unseal(sealed, label="kid-1")


@pytest.mark.parametrize("place", range(45))
def test_every_byte_is_authenticated(place: int) -> None:
    """A sealed value with any bit of version, fingerprint, nonce, ciphertext or tag changed does not open."""
    sealed = bytearray(Sealer([OLD]).seal(b"private!", label="k"))
    assert len(sealed) == 45
    sealed[place] ^= 1
    with pytest.raises(SealBroken):
        Sealer([OLD]).unseal(bytes(sealed), label="k")


@pytest.mark.parametrize("length", [0, 1, 9, 20, 21, 30])
def test_a_truncated_value_does_not_open(length: int) -> None:
    """A value cut short, or emptied because its key is gone, is a broken seal and nothing else."""
    sealed = Sealer([OLD]).seal(b"private", label="k")
    with pytest.raises(SealBroken):
        Sealer([OLD]).unseal(sealed[:length], label="k")


@pytest.mark.parametrize("secret_keys", [[], [""], ["short"], [OLD, " " * 40], ["x" * 31]])
def test_missing_and_short_secret_keys_are_refused(secret_keys: list[str]) -> None:
    """A secret key of less than 32 characters stops the start and is not repeated in the message."""
    with pytest.raises(ConfigurationError, match="AUTHSERVER_SECRET_KEY") as caught:
        Sealer(secret_keys)
    assert "short" not in str(caught.value)


def test_derived_keys_differ_by_label_and_secret_key() -> None:
    """A key derived for one purpose says nothing about another one's."""
    derived = {Sealer([OLD]).derive("a"), Sealer([OLD]).derive("b"), Sealer([NEW, OLD]).derive("a")}
    assert len(derived) == 3
    assert Sealer([OLD, NEW]).derive("a") in derived


def test_no_secret_key_in_repr() -> None:
    """U4: a Sealer in a log line shows no secret key."""
    assert OLD not in repr(Sealer([OLD]))
