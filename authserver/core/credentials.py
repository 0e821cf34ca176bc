"""What a caller presented to prove which client it is (RFC 6749 §2.3.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from authserver.core.client import AuthMethod


@dataclass(frozen=True, slots=True)
class Credentials:
    """One client id and secret, and how they came."""

    method: AuthMethod
    client_id: str
    client_secret: str = field(repr=False)
