"""Secrets: 256 random bits with a checksum, and what is kept of them (RFC 8018 §5.2, PBKDF2).

The cost of a check is chosen by the secret presented, never by the client named: a secret in our own
format carries 256 bits and needs few rounds; anything else was chosen elsewhere and gets many.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import zlib
from dataclasses import dataclass, field

from authserver.core.identifiers import BASE62

GENERATED_ROUNDS = 1_000
IMPORTED_ROUNDS = 600_000
MAX_SECRET_BYTES = 1024

_BODY_CHARACTERS = 43  # 62**43 > 2**256
_CHECKSUM_CHARACTERS = 6  # 62**6 > 2**32
_HINT_CHARACTERS = 4
_SALT_BYTES = 16
_SCHEME = "pbkdf2-sha256"


def generate_secret(prefix: str) -> str:
    """Return `prefix_`, 256 random bits and a checksum, in `[A-Za-z0-9_-]` only."""
    body = _base62(secrets.randbits(256), _BODY_CHARACTERS)
    return f"{prefix}_{body}{_checksum(f'{prefix}_{body}')}"


def is_generated(secret: str) -> bool:
    """Tell offline whether `secret` has our format and an intact checksum."""
    prefix, _, tail = secret.rpartition("_")
    if not prefix or len(tail) != _BODY_CHARACTERS + _CHECKSUM_CHARACTERS or not tail.isalnum():
        return False
    return secret.isascii() and _checksum(secret[:-_CHECKSUM_CHARACTERS]) == secret[-_CHECKSUM_CHARACTERS:]


def rounds_for(secret: str) -> int:
    """Return the PBKDF2 rounds for a secret of this form."""
    return GENERATED_ROUNDS if is_generated(secret) else IMPORTED_ROUNDS


def hint_of(secret: str) -> str:
    """Return the last four characters, which a list may show."""
    return secret[-_HINT_CHARACTERS:]


def new_salt() -> bytes:
    """Return a fresh salt. A client's secrets share one, so that a check costs one derivation."""
    return os.urandom(_SALT_BYTES)


@dataclass(frozen=True, slots=True)
class SecretHash:
    """What is stored of a secret: `pbkdf2-sha256$rounds$salt$digest`, salt and digest in base64."""

    rounds: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: str, salt: bytes) -> SecretHash:
        """Hash a secret with the rounds that its form asks for. Slow: call it in a thread."""
        rounds = rounds_for(secret)
        return cls(rounds, salt, derive(secret, salt, rounds))

    @classmethod
    def parse(cls, text: str) -> SecretHash:
        """Read the stored form; raise ValueError when it is damaged or of an unknown scheme."""
        scheme, rounds, salt, digest = text.split("$")
        if scheme != _SCHEME:
            raise ValueError("unknown scheme")
        try:
            parsed = cls(int(rounds), base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True))
        except binascii.Error as error:
            raise ValueError("damaged") from error
        if not 1 <= parsed.rounds <= IMPORTED_ROUNDS or len(parsed.digest) != hashlib.sha256().digest_size:
            raise ValueError("damaged")
        return parsed

    def __str__(self) -> str:
        """Return the stored form."""
        salt, digest = base64.b64encode(self.salt).decode(), base64.b64encode(self.digest).decode()
        return f"{_SCHEME}${self.rounds}${salt}${digest}"

    def matches(self, derived: bytes) -> bool:
        """Compare in constant time with what `derive` gave for the secret presented."""
        return hmac.compare_digest(self.digest, derived)


def derive(secret: str, salt: bytes, rounds: int) -> bytes:
    """Return PBKDF2-HMAC-SHA256 of the secret, 32 bytes. Slow by intent: call it in a thread."""
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, rounds)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(reversed(digits))


def _checksum(text: str) -> str:
    return _base62(zlib.crc32(text.encode()), _CHECKSUM_CHARACTERS)
