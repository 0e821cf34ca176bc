"""A token request by client credentials, authenticated by secret (RFC 6749 §2.3.1, §4.4.2; RFC 8707 §2). No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote_plus

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_token_request

AuthMethod = Literal["client_secret_basic", "client_secret_post"]
AUTH_METHODS: tuple[AuthMethod, ...] = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """What is asked for, and by whom. Raises ValueError for a client id or method that cannot be used."""

    client_id: str
    auth_method: AuthMethod
    scope: str | None
    resource: str | None

    def __post_init__(self) -> None:
        """Refuse what no server could accept."""
        if not self.client_id or not self.client_id.isprintable():
            raise ValueError("client_id is empty or has characters that no id has")
        if self.auth_method not in AUTH_METHODS:
            raise ValueError(f"auth_method is none of {', '.join(AUTH_METHODS)}")

    def signed(self, endpoint: str, secret: str) -> SignedRequest:
        """Return the request with the secret in its place."""
        body = prepare_token_request("client_credentials", scope=self.scope, resource=self.resource)
        # Authlib joins id and secret for Basic as they are; the form encoding that comes before is ours.
        encode = quote_plus if self.auth_method == "client_secret_basic" else str
        auth = ClientAuth(encode(self.client_id), encode(secret), self.auth_method)
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        _, headers, body = auth.prepare("POST", endpoint, headers, body)
        credentials = headers.get("Authorization", "").removeprefix("Basic ")
        hidden = {word for word in (secret, quote_plus(secret), credentials) if word}
        return SignedRequest(endpoint, headers, body.encode(), frozenset(hidden))


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A POST that is ready to be sent; `hidden` are the forms of the secret in it."""

    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    hidden: frozenset[str] = field(repr=False)
