"""What a service needs to check the tokens of one resource by itself, as one JSON document.

Any verifier can be set up from it: issuer, audience, algorithms and `typ` to insist on (RFC 8725 §3.1, RFC 9068 §4),
where the keys and the revocations are, and what its scopes include.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field

from authserver.core.json_value import Json
from authserver.core.resource import Resource, SigningAlg, TokenType
from authserver.core.signing_key import KeyState, SigningKey
from authserver.resources.registration import ScopeForm, metadata_of

_ORDER = (KeyState.ACTIVE, KeyState.NEXT, KeyState.RETIRING)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierAddresses:
    """Who the server is and where verifiers ask it, in absolute URLs."""

    issuer: str
    jwks_uri: str
    introspection_endpoint: str
    revocations_endpoint: str


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """The secret of one HS256 key of a resource."""

    kid: str
    value: bytes = field(repr=False)


class SharedKey(BaseModel):
    """A secret as a JWK (RFC 7517 §4, RFC 7518 §6.4)."""

    kty: Literal["oct"] = "oct"
    alg: SigningAlg = SigningAlg.HS256
    use: Literal["sig"] = "sig"
    kid: str
    k: str = Field(repr=False, description="The secret in base64url without padding.")


class SharedKeySet(BaseModel):
    """The secrets that a token may still or soon be signed with, the active one first (RFC 7517 §5)."""

    keys: list[SharedKey]


class VerifierConfiguration(BaseModel):
    """The document. Resources with public keys have `jwks_uri`, those of HS256 `shared_secret` and `jwks`."""

    issuer: str = Field(description="The `iss` of its tokens.")
    audience: str = Field(description="The `aud` of its tokens, the identifier of the resource.")
    workspace_id: str = Field(description="The `workspace_id` of its tokens.")
    algorithms: list[SigningAlg] = Field(description="Refuse a token that is signed in any other way.")
    typ: TokenType = Field(description="The `typ` header of its tokens.")
    jwks_uri: str | None = Field(default=None, description="Where the public keys are; absent for HS256.")
    shared_secret: str | None = Field(
        default=None, repr=False, description="HS256 only: the active secret in base64url without padding."
    )
    jwks: SharedKeySet | None = Field(default=None, repr=False, description="HS256 only: all secrets to believe.")
    introspection_endpoint: str
    revocations_endpoint: str = Field(description="The revocation feed.")
    scopes: list[ScopeForm]

    def document(self) -> dict[str, Json]:
        """Return it as JSON, without the members that are absent."""
        return self.model_dump(mode="json", exclude_none=True)


def shared_keys_of(resource: Resource, keys: Iterable[SigningKey]) -> Sequence[SigningKey]:
    """Return those of `keys` whose secrets the services of an HS256 resource share, the active one first.

    There are none for any other resource.
    """
    if resource.signing_alg is not SigningAlg.HS256:
        return ()
    own = [key for key in keys if key.resource_id == resource.resource_id and key.state in _ORDER]
    return sorted(own, key=lambda key: _ORDER.index(key.state))


def verifier_configuration(
    resource: Resource, addresses: VerifierAddresses, secrets: Sequence[SharedSecret]
) -> VerifierConfiguration:
    """Return the document for one resource; `secrets` are those of its `shared_keys_of`, in that order."""
    return VerifierConfiguration(
        issuer=addresses.issuer,
        audience=resource.identifier,
        workspace_id=resource.workspace_id,
        algorithms=[resource.signing_alg],
        typ=resource.token_typ,
        **(_shared(secrets) if secrets else {"jwks_uri": addresses.jwks_uri}),
        introspection_endpoint=addresses.introspection_endpoint,
        revocations_endpoint=addresses.revocations_endpoint,
        scopes=[ScopeForm.model_validate(scope) for scope in metadata_of(resource)["scopes"]],
    )


def _shared(secrets: Sequence[SharedSecret]) -> dict[str, Any]:
    keys = [SharedKey(kid=secret.kid, k=_base64url(secret.value)) for secret in secrets]
    return {"shared_secret": keys[0].k, "jwks": SharedKeySet(keys=keys)}


def _base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
