"""Signing keys and their states (RFC 7517): next → active → retiring → gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from authserver.core.resource import SigningAlg


class KeyState(StrEnum):
    """NEXT and RETIRING are published but do not sign; GONE is neither published nor believed."""

    NEXT = "next"
    ACTIVE = "active"
    RETIRING = "retiring"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """One key. Asymmetric keys serve a workspace, an HS256 key one resource (`resource_id`).

    `sealed_private` is the encrypted private part; `public_jwk` is None for HS256. Times are seconds:
    `published_at` since it stands in the JWKS, `activate_at` when a rotation that was asked for takes
    place, `retire_until` when its last token has expired.
    """

    kid: str
    workspace_id: str
    resource_id: str | None = None
    alg: SigningAlg
    state: KeyState
    public_jwk: Mapping[str, str] | None = None
    sealed_private: bytes = field(repr=False)
    published_at: int
    activated_at: int | None = None
    activate_at: int | None = None
    retire_until: int | None = None
    revoked_at: int | None = None
