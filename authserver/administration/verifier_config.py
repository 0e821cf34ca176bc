"""What a service needs to check the tokens of one resource by itself, as one JSON document.

Any verifier can be set up from it: issuer, audience, algorithms and `typ` to insist on (RFC 8725 §3.1, RFC 9068 §4),
where the keys are, and what its scopes include.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field

from authserver.administration.actor import Actor
from authserver.administration.signing_keys import SigningKeyAdministration
from authserver.core.client import Json
from authserver.core.resource import Resource, ResourceScope, SigningAlg
from authserver.core.signing_key import KeyState, SigningKey

_ORDER = (KeyState.ACTIVE, KeyState.NEXT, KeyState.RETIRING)


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """The secret of one HS256 key of a resource."""

    kid: str
    value: bytes = field(repr=False)


def verifier_configuration(
    resource: Resource,
    *,
    issuer: str,
    jwks_uri: str,
    introspection_endpoint: str,
    shared_secrets: Sequence[SharedSecret] = (),
) -> dict[str, Json]:
    """Return the document for one resource.

    Resources with a public key get `jwks_uri`. HS256 resources get `shared_secret`, the active secret in base64url
    without padding (RFC 7515 §2), and `jwks`, a JWK Set of all that a token may still or soon be signed with: for
    them `shared_secrets` are given, the active one first.
    """
    return {
        "issuer": issuer,
        "audience": resource.identifier,
        "algorithms": [resource.signing_alg.value],
        "typ": resource.token_typ.value,
        **(_shared(shared_secrets) if shared_secrets else {"jwks_uri": jwks_uri}),
        "introspection_endpoint": introspection_endpoint,
        "scopes": [_scope(scope) for scope in resource.scopes],
    }


async def shared_secrets_of(
    resource: Resource, actor: Actor, signing_keys: SigningKeyAdministration
) -> Sequence[SharedSecret]:
    """Return the secrets of an HS256 resource, the active one first; none for any other resource.

    Raises InsufficientScope; each export is recorded in the audit.
    """
    if resource.signing_alg is not SigningAlg.HS256:
        return ()
    keys = [key for key in await signing_keys.list(actor) if _is_believed(key, resource)]
    return [
        SharedSecret(key.kid, await signing_keys.export_secret(actor, key.kid))
        for key in sorted(keys, key=lambda key: _ORDER.index(key.state))
    ]


def _is_believed(key: SigningKey, resource: Resource) -> bool:
    return key.resource_id == resource.resource_id and key.state in _ORDER


def _shared(secrets: Sequence[SharedSecret]) -> dict[str, Json]:
    keys = [
        {"kty": "oct", "alg": SigningAlg.HS256.value, "use": "sig", "kid": secret.kid, "k": _base64url(secret.value)}
        for secret in secrets
    ]
    return {"shared_secret": keys[0]["k"], "jwks": {"keys": keys}}


def _scope(scope: ResourceScope) -> dict[str, Json]:
    return {"name": scope.name, "description": scope.description, "includes": list(scope.includes)}


def _base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
