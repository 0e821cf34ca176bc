"""Identifiers: token ids that carry their time (UUIDv7, RFC 9562 §5.7) and readable random ids."""

from __future__ import annotations

import os
import secrets

from authserver.core.fork import tell_after_fork

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

DEFAULT_WORKSPACE = "default"

#: The audience of the management API's own access tokens.
ADMIN_RESOURCE = "urn:authserver:admin"

_ID_CHARACTERS = 22
_UUID_LENGTH = 36
_UUID_BYTES = 16
_TOKEN_RANDOM_BYTES = 10
_POOL_BYTES = 4000
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
_RANDOM_A_MASK = 0xFFF << 64
_RANDOM_B_MASK = (1 << 62) - 1


def new_token_id(now_ms: int) -> str:
    """Return a UUIDv7 for `now_ms`, the `jti` of an access token.

    Watermarks compare with the millisecond inside it, so it is made from the server's clock,
    never by a library that reads a clock of its own.
    """
    random = int.from_bytes(_random_bytes(), "big")
    value = (now_ms << 80) | _VERSION_7 | (random & _RANDOM_A_MASK) | _VARIANT | (random & _RANDOM_B_MASK)
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class _RandomPool:
    """Random bytes of the operating system, fetched a page at a time: the call costs as much as a signature.

    A forked process starts with an empty pool, so that no two processes ever share bytes.
    """

    __slots__ = ("__weakref__", "_bytes", "_offset")

    def __init__(self) -> None:
        self._bytes, self._offset = b"", 0
        tell_after_fork(self)

    def __call__(self) -> bytes:
        if self._offset + _TOKEN_RANDOM_BYTES > len(self._bytes):
            self._bytes, self._offset = os.urandom(_POOL_BYTES), 0
        taken = self._bytes[self._offset : self._offset + _TOKEN_RANDOM_BYTES]
        self._offset += _TOKEN_RANDOM_BYTES
        return taken

    def after_fork(self) -> None:
        """Forget the bytes at hand."""
        self._bytes, self._offset = b"", 0


_random_bytes = _RandomPool()


def token_id_bytes(token_id: str) -> bytes:
    """Return the 16 bytes of a UUID written in 36 characters; raise ValueError for what cannot be one.

    Where the hyphens are is not looked at: whoever asks has read the id in a token that was signed.
    """
    value = bytes.fromhex(token_id.replace("-", ""))
    if len(token_id) != _UUID_LENGTH or len(value) != _UUID_BYTES:
        raise ValueError("not a UUID")
    return value


def token_id_ms(token_id: str) -> int:
    """Return the time of a UUIDv7 in milliseconds since the epoch (RFC 9562 §5.7)."""
    return int.from_bytes(token_id_bytes(token_id)[:6], "big")


def new_id(prefix: str) -> str:
    """Return `prefix_` and 131 random bits in base62, for example `cl_5hPz…`."""
    return f"{prefix}_{''.join(secrets.choice(BASE62) for _ in range(_ID_CHARACTERS))}"
