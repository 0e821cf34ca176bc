"""All keys at one moment, opened and ready: who signs, what is believed, what is published."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from joserfc.jwk import Key

from authserver.core.errors import ServerError
from authserver.core.resource import SigningAlg, TokenType
from authserver.core.signing_key import KeyState, SigningKey
from authserver.jose.compact import JwsKey
from authserver.keys.access_token import KeyFacts
from authserver.keys.errors import SealBroken
from authserver.keys.lifecycle import KeyGroup
from authserver.keys.material import open_private, open_public, published
from authserver.keys.sealing import Sealer
from authserver.keys.signer import Signer, header_segment
from authserver.keys.verifier import AudienceOf, TokenVerifier

_log = logging.getLogger(__name__)

_PUBLICATION_ORDER = (KeyState.ACTIVE, KeyState.NEXT, KeyState.RETIRING)
_MUST_OPEN = (KeyState.ACTIVE, KeyState.NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySnapshot:
    """What a request needs to know of the keys. Replaced as a whole, never changed."""

    keys: tuple[SigningKey, ...]
    groups: Mapping[KeyGroup, Sequence[SigningKey]]
    signers: Mapping[KeyGroup, Signer]
    verifier: TokenVerifier = field(repr=False)
    jwks: bytes = field(repr=False)


def in_order(keys: Iterable[SigningKey]) -> tuple[SigningKey, ...]:
    """Return the keys by group, the earliest published first."""
    return tuple(
        sorted(keys, key=lambda key: (key.workspace_id, key.alg, key.resource_id or "", key.published_at, key.kid))
    )


def take_snapshot(keys: tuple[SigningKey, ...], *, sealer: Sealer, issuer: str, audience_of: AudienceOf) -> KeySnapshot:
    """Open all keys; raise SealBroken naming every key that is needed to sign and does not open.

    A retiring HS256 key that does not open costs its last tokens only: it is logged and left out.
    """
    private = _open_all(keys, sealer)
    trusted: dict[str, tuple[JwsKey, KeyFacts]] = {}
    for key in keys:
        trusted.update(_headers(key, private.get(key.kid)))
    return KeySnapshot(
        keys=keys,
        groups=_grouped(keys),
        signers={
            KeyGroup.of_key(key): Signer(kid=key.kid, key=private[key.kid])
            for key in keys
            if key.state is KeyState.ACTIVE
        },
        verifier=TokenVerifier(issuer=issuer, trusted=trusted, audience_of=audience_of),
        jwks=_jwks(keys),
    )


def _open_all(keys: Iterable[SigningKey], sealer: Sealer) -> dict[str, JwsKey]:
    opened: dict[str, JwsKey] = {}
    broken: list[str] = []
    for key in keys:
        if not _needs_private(key):
            continue
        try:
            opened[key.kid] = _open(key, sealer)
        except SealBroken as error:
            if key.state in _MUST_OPEN:
                broken.append(key.kid)
            else:
                _log.error("its last tokens are refused: %s", error)
    if broken:
        raise SealBroken(*broken)
    return opened


def _needs_private(key: SigningKey) -> bool:
    # A key about to sign needs its private part, and an HS256 key has no other part to verify with.
    return key.state in _MUST_OPEN or (key.alg is SigningAlg.HS256 and key.state is KeyState.RETIRING)


def _open(key: SigningKey, sealer: Sealer) -> JwsKey:
    opened = open_private(key.alg, sealer.unseal(key.sealed_private, label=key.kid))
    return JwsKey(key.alg, opened if key.public_jwk is None else _checked(opened, key))


def _checked(opened: Key, key: SigningKey) -> Key:
    """Compare the key with its kid, which is its thumbprint: one kid never stands for other material (ROT-06)."""
    if opened.thumbprint() != key.kid:
        raise ServerError(f"signing key {key.kid} holds the material of another key")
    return opened


def _verifying(public_jwk: Mapping[str, str], key: SigningKey) -> JwsKey:
    return JwsKey(key.alg, _checked(open_public(published(public_jwk)), key))


def _headers(key: SigningKey, private: JwsKey | None) -> dict[str, tuple[JwsKey, KeyFacts]]:
    """Return the header segments that this key can produce; none for a key that is gone or does not open."""
    if key.state is KeyState.GONE:
        return {}
    verifying = private if key.public_jwk is None else _verifying(key.public_jwk, key)
    if verifying is None:
        return {}
    return {
        header_segment(key.kid, key.alg, typ): (
            verifying,
            KeyFacts(kid=key.kid, alg=key.alg, typ=typ, workspace_id=key.workspace_id, resource_id=key.resource_id),
        )
        for typ in TokenType
    }


def _grouped(keys: Iterable[SigningKey]) -> dict[KeyGroup, list[SigningKey]]:
    groups: dict[KeyGroup, list[SigningKey]] = {}
    for key in keys:
        groups.setdefault(KeyGroup.of_key(key), []).append(key)
    return groups


def _jwks(keys: Iterable[SigningKey]) -> bytes:
    """Return the JWK Set (RFC 7517 §5): asymmetric keys only, public members only, those that sign first."""
    public = [key for key in keys if key.public_jwk is not None and key.state in _PUBLICATION_ORDER]
    public.sort(key=lambda key: _PUBLICATION_ORDER.index(key.state))
    return msgspec.json.encode({"keys": [published(key.public_jwk) for key in public if key.public_jwk is not None]})
