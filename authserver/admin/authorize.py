"""Who calls the management API (RFC 6750 §2.1): the admin token, or an access token of our own for it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from authserver.administration.actor import Actor
from authserver.core.client import Client
from authserver.core.errors import InvalidToken

#: Returns scopes and client of a good access token for the management API; raises InvalidToken for any other.
CheckToken = Callable[[str], Awaitable[tuple[frozenset[str], Client]]]

MAX_TOKEN_BYTES = 8192

_SCHEME = b"bearer "


class Authorizer(Protocol):
    """Finds out who asks."""

    async def __call__(self, authorization_headers: Sequence[bytes]) -> Actor:
        """Return the actor for the values of the Authorization headers; raise InvalidToken."""


class AdminTokens:
    """The admin tokens that hold at present, as digests; replaced all at once."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.replace(tokens)

    def replace(self, tokens: Sequence[str]) -> None:
        """Let these tokens hold and no others."""
        self._digests = [_digest(token.encode()) for token in tokens if token]

    def hold(self, token: bytes) -> bool:
        """Tell whether `token` is one of them, in a time that does not depend on which."""
        digest = _digest(token)
        matches = [hmac.compare_digest(digest, known) for known in self._digests]  # all of them: equal time
        return any(matches)


class BearerAuthorizer:
    """Accepts exactly one Authorization header with a Bearer token; tokens elsewhere are not looked for."""

    def __init__(self, *, admin_tokens: AdminTokens, check: CheckToken) -> None:
        """Ask `admin_tokens` first; `check` judges access tokens of our own."""
        self._admin_tokens = admin_tokens
        self._check = check

    async def __call__(self, authorization_headers: Sequence[bytes]) -> Actor:
        """Return the actor; raise InvalidToken."""
        token = _bearer(authorization_headers)
        if self._admin_tokens.hold(token):
            return Actor(name="admin-token")
        scopes, client = await self._check(token.decode("ascii"))
        return Actor(name=f"client:{client.client_id}", scopes=scopes, client=client, workspace_id=client.workspace_id)


def _bearer(headers: Sequence[bytes]) -> bytes:
    if len(headers) != 1:
        raise InvalidToken("there must be exactly one Authorization header")
    value = headers[0]
    if value[: len(_SCHEME)].lower() != _SCHEME:
        raise InvalidToken("the Authorization header has another scheme than Bearer")
    token = value[len(_SCHEME) :].strip(b" ")
    if not token or len(token) > MAX_TOKEN_BYTES or not token.isascii() or not token.decode().isprintable():
        raise InvalidToken("the bearer token is empty, too long or not ASCII")
    return token


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
