"""The decision on a token request, by Authlib's client credentials grant (RFC 6749 §4.4).

Everything that it needs was loaded before; what comes back says what to issue. Authlib sees an authenticated
client and never a secret, and its "token" is this decision and never a JWT, so that nothing it logs can leak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import OAuth2Error, UnauthorizedClientError, UnsupportedGrantTypeError
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from authserver.core.client import Client
from authserver.core.errors import AuthServerError, InvalidRequest, UnauthorizedClient, UnsupportedGrantType
from authserver.core.resource import Resource
from authserver.core.scope import Inclusion, Scopes
from authserver.oauth.target import choose_scope

_ERRORS: dict[type[OAuth2Error], type[AuthServerError]] = {
    UnsupportedGrantTypeError: UnsupportedGrantType,
    UnauthorizedClientError: UnauthorizedClient,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What a decision needs to know: the authenticated client and the policy of the audience chosen."""

    client: Client
    resource: Resource | None
    inclusion: Inclusion


@dataclass(frozen=True, slots=True)
class Decision:
    """What to grant."""

    scope: Scopes


class _Request(OAuth2Request):  # type: ignore[misc] # Authlib has no types
    """A token request for Authlib. The transport was judged once, from the issuer, when the server started."""

    method = "POST"

    def __init__(self, grant_type: str, scope: str | None, loaded: Loaded) -> None:
        # Authlib's own initialiser judges the transport of each request, and costs as much as its grant.
        self.payload = BasicOAuth2Payload({"grant_type": grant_type, "scope": scope})
        self.loaded = loaded
        self.client = None


class _ClientForGrant:
    """The part of Authlib's client model that its grant asks for."""

    __slots__ = ("_grant_types",)

    def __init__(self, client: Client) -> None:
        self._grant_types = client.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client is registered for the grant type (RFC 7591 §2)."""
        return grant_type in self._grant_types


class _ClientCredentials(ClientCredentialsGrant):  # type: ignore[misc]
    """Authlib's grant with our answer to "which scope?"."""

    decision: Decision

    def validate_requested_scope(self) -> None:
        """Decide the scope from what was loaded, instead of from a list that is the same for all."""
        loaded: Loaded = self.request.loaded
        scope = choose_scope(
            loaded.client, self.request.payload.scope, resource=loaded.resource, inclusion=loaded.inclusion
        )
        self.decision = Decision(scope)

    def generate_token(self, **_: Any) -> Decision:
        """Return the decision in place of a token: rendering and signing come after all that can fail."""
        return self.decision


class DecisionServer(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server side, reduced to what decides."""

    def __init__(self) -> None:
        """Know one grant."""
        super().__init__()
        self.register_grant(_ClientCredentials)

    def decide(self, grant_type: str, scope: str | None, loaded: Loaded) -> Decision:
        """Return what to grant to the loaded client, or raise an error of RFC 6749 §5.2."""
        request = _Request(grant_type, scope, loaded)
        try:
            grant = self.get_token_grant(request)
            grant.validate_token_request()
            _, decision, _ = grant.create_token_response()
        except OAuth2Error as error:
            raise _ERRORS.get(type(error), InvalidRequest)(f"refused by the grant: {error.error}") from None
        if not isinstance(decision, Decision):
            raise InvalidRequest("the grant came to no decision")
        return decision

    def authenticate_client(self, request: _Request, methods: Any, endpoint: str = "token") -> _ClientForGrant:  # noqa: ARG002
        """Return the client that was authenticated before the decision."""
        return _ClientForGrant(request.loaded.client)

    def save_token(self, token: Any, request: Any) -> None:
        """Save nothing: only what is revoked is ever stored."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Tell nobody: the caller of `decide` records the outcome."""
