"""Making the keys that a decision asks for. Slow (an RSA key takes up to a second): call it in a thread."""

from __future__ import annotations

from collections.abc import Iterable

from authserver.core.signing_key import SigningKey
from authserver.keys.lifecycle import KeyBirth
from authserver.keys.material import KeyMaterial, generate
from authserver.keys.sealing import Sealer


def bear(births: Iterable[KeyBirth], sealer: Sealer) -> tuple[SigningKey, ...]:
    """Make and seal one key for each birth, in order."""
    return tuple(signing_key(birth, generate(birth.group.alg), sealer) for birth in births)


def signing_key(birth: KeyBirth, material: KeyMaterial, sealer: Sealer) -> SigningKey:
    """Return the key as it is stored: its private part sealed under its kid."""
    return SigningKey(
        kid=material.kid,
        workspace_id=birth.group.workspace_id,
        resource_id=birth.group.resource_id,
        alg=birth.group.alg,
        state=birth.state,
        public_jwk=material.public_jwk,
        sealed_private=sealer.seal(material.private, label=material.kid),
        published_at=birth.published_at,
        activated_at=birth.activated_at,
        activate_at=birth.activate_at,
    )
