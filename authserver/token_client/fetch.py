"""Gets one access token: finds the token endpoint, reads the secret, asks (RFC 6749 §4.4, RFC 8414 §3)."""

from __future__ import annotations

import logging
import ssl
import time

import httpx2

from authserver.token_client.access_token import Token
from authserver.token_client.answer import token_endpoint_of, token_of
from authserver.token_client.client_secret import SecretSource
from authserver.token_client.errors import TokenRefused, TokenUnavailable
from authserver.token_client.exchange import Exchange, system_trust
from authserver.token_client.origin import server_url
from authserver.token_client.request import TokenRequest

WELL_KNOWN = "/.well-known/oauth-authorization-server"

_log = logging.getLogger("authserver.token_client")


class Server:
    """Where the token endpoint is: given, or told by the issuer's metadata."""

    def __init__(self, *, token_endpoint: str | None, issuer: str | None) -> None:
        """Take one of the two; raise ValueError for none, both, or one that is not https."""
        if (token_endpoint is None) == (issuer is None):
            raise ValueError("one of token_endpoint and issuer is needed")
        self.name = str(token_endpoint or issuer)
        self._issuer = issuer
        self._found: str | None = None
        server_url(self.name, "token endpoint" if issuer is None else "issuer")
        if issuer is not None and "?" in issuer:
            raise ValueError("the issuer has a query")

    def token_endpoint(self, exchange: Exchange) -> str:
        """Return its URL; raise TokenUnavailable when the metadata cannot be had or are not the issuer's."""
        if self._issuer is None:
            return self.name
        endpoint = self._found
        if endpoint is None:
            endpoint = token_endpoint_of(exchange.get(metadata_url(self._issuer)), self._issuer)
            try:
                server_url(endpoint, "token endpoint")
            except ValueError as error:
                raise TokenUnavailable(f"the issuer's metadata cannot be used: {error}") from None
            self._found = endpoint
        return endpoint

    def forget(self) -> None:
        """Ask for the metadata again next time: the endpoint may have moved."""
        self._found = None


class Fetcher:
    """Asks the server for a token when it is called. An earlier fetch may still hang in another thread."""

    def __init__(
        self,
        *,
        server: Server,
        request: TokenRequest,
        secret: SecretSource,
        ssl_context: ssl.SSLContext | None,
        timeout_seconds: float,
    ) -> None:
        """Ask `server`, and give up after `timeout_seconds` in all."""
        self._server = server
        self._request = request
        self._secret = secret
        self._ssl_context = ssl_context
        self._timeout_seconds = timeout_seconds

    def __call__(self, asked_at_ms: int) -> Token:
        """Return a new token; raise TokenUnavailable or TokenRefused.

        After `invalid_client` the secret is read again, and tried if it is another one.
        """
        if self._ssl_context is None:
            self._ssl_context = system_trust()
        exchange = Exchange(time.monotonic() + self._timeout_seconds, self._ssl_context)
        secret = self._secret()
        try:
            endpoint = self._server.token_endpoint(exchange)
            try:
                return self._token(exchange, endpoint, secret, asked_at_ms)
            except TokenRefused as refused:
                if refused.error != "invalid_client":
                    raise
                again = self._secret()
                if again == secret:
                    raise
                _log.info("the client secret has changed")
            return self._token(exchange, endpoint, again, asked_at_ms)
        except TokenUnavailable:
            self._server.forget()
            raise

    def _token(self, exchange: Exchange, endpoint: str, secret: str, asked_at_ms: int) -> Token:
        signed = self._request.signed(endpoint, secret)
        answer = exchange.post(signed.url, signed.headers, signed.body)
        return token_of(answer, asked_at_ms=asked_at_ms, hidden=signed.hidden)


def metadata_url(issuer: str) -> str:
    """Return where the metadata are: the well-known part stands between host and path (RFC 8414 §3.1)."""
    url = httpx2.URL(issuer)
    return str(url.copy_with(path=WELL_KNOWN + url.path.rstrip("/")))
