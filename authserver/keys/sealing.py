"""Private keys at rest: AES-256-GCM (NIST SP 800-38D) under keys derived by HKDF-SHA256 (RFC 5869)."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from authserver.core.errors import ConfigurationError
from authserver.keys.errors import SealBroken

MIN_SECRET_KEY_CHARACTERS = 32

_VERSION = b"\x01"
_FINGERPRINT_BYTES = 8
_NONCE_BYTES = 12
_KEY_BYTES = 32
_HEAD_BYTES = len(_VERSION) + _FINGERPRINT_BYTES


class Sealer:
    """Seals with the first secret key and opens with any, so that secret keys can be replaced one by one.

    A sealed value is: version (1 byte), fingerprint of the secret key (8), nonce (12), ciphertext and tag.
    Version, fingerprint and label are authenticated: a value moved to another row does not open there.
    """

    __slots__ = ("_ciphers", "_fingerprint", "_first")

    def __init__(self, secret_keys: Sequence[str]) -> None:
        """Derive one cipher from each secret key; raise ConfigurationError for an empty list or a short key."""
        _check(secret_keys)
        self._first = secret_keys[0].encode()
        self._ciphers = {
            _expand(key.encode(), "fingerprint", _FINGERPRINT_BYTES): AESGCM(_expand(key.encode(), "seal", _KEY_BYTES))
            for key in secret_keys
        }
        self._fingerprint = next(iter(self._ciphers))

    def __repr__(self) -> str:
        return f"Sealer({len(self._ciphers)} secret keys)"

    def seal(self, plaintext: bytes, *, label: str) -> bytes:
        """Encrypt `plaintext` and bind it to `label`, for example the key id."""
        head = _VERSION + self._fingerprint
        nonce = os.urandom(_NONCE_BYTES)
        return head + nonce + self._ciphers[self._fingerprint].encrypt(nonce, plaintext, head + label.encode())

    def unseal(self, sealed: bytes, *, label: str) -> bytes:
        """Return what `seal` was given with the same label; raise SealBroken."""
        head, rest = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES:]
        cipher = self._ciphers.get(head[len(_VERSION) :])
        if cipher is None or not head.startswith(_VERSION):
            raise SealBroken(label)
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], head + label.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken(label) from error

    def derive(self, label: str) -> bytes:
        """Return 32 bytes for another purpose, named by `label`; they change with the first secret key."""
        return _expand(self._first, f"derive/{label}", _KEY_BYTES)


def _check(secret_keys: Sequence[str]) -> None:
    if not secret_keys:
        raise ConfigurationError("AUTHSERVER_SECRET_KEY: missing; set at least one secret key")
    problems = [
        f"AUTHSERVER_SECRET_KEY: key {place} has {len(key)} characters; {MIN_SECRET_KEY_CHARACTERS} are the least"
        for place, key in enumerate(secret_keys, start=1)
        if len(key.strip()) < MIN_SECRET_KEY_CHARACTERS
    ]
    if problems:
        raise ConfigurationError(*problems)


def _expand(secret: bytes, purpose: str, length: int) -> bytes:
    info = f"authserver/keys/v1/{purpose}".encode()
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=info).derive(secret)
