"""`ClientCredentials`: a client's access token, as the auth of httpx2 and requests (RFC 6749 §4.4, RFC 6750 §2.1)."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Callable, Collection, Generator
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

import httpx2

from authserver.core.connection import connection_problem
from authserver.token_client.access_token import Token
from authserver.token_client.client_secret import secret_source
from authserver.token_client.fetch import Fetcher, Server
from authserver.token_client.keeper import Keeper
from authserver.token_client.origin import Origins
from authserver.token_client.request import AuthMethod, TokenRequest

if TYPE_CHECKING:
    import requests

TIMEOUT_SECONDS = 5.0


class ClientCredentials(httpx2.Auth):
    """Gets an access token on first use, keeps it, and renews it before it expires, or once on a 401.

    One object serves any number of threads, tasks, event loops and clients of httpx2 and requests. A fetch that
    fails raises TokenUnavailable or TokenRefused, but only when no good token is left.
    """

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str | Path | Callable[[], str],
        token_endpoint: str | None = None,
        issuer: str | None = None,
        scope: str | None = None,
        resource: str | None = None,
        auth_method: AuthMethod = "client_secret_basic",
        origins: Collection[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Ask `token_endpoint`, or the one in the metadata of `issuer` (RFC 8414). Nothing is sent yet.

        `client_secret` is the secret, a file that holds it, or a function that returns it. `scope` is space-separated;
        `resource` is the audience asked for (RFC 8707). `origins` limits where the token is sent, by default anywhere
        over https. `ssl_context` is for a private CA. Raises ValueError for what cannot work.
        """
        if reason := connection_problem(timeout_seconds=timeout_seconds, ssl_context=ssl_context):
            raise ValueError(reason)
        server = Server(token_endpoint=token_endpoint, issuer=issuer)
        self._name = f"client_id={client_id!r}, server={server.name!r}"
        self._origins = Origins(origins)
        self._keeper = Keeper(
            Fetcher(
                server=server,
                request=TokenRequest(client_id, auth_method, scope, resource),
                secret=secret_source(client_secret),
                ssl_context=ssl_context,
                timeout_seconds=timeout_seconds,
            ),
            timeout_seconds=timeout_seconds,
        )

    def token(self) -> Token:
        """Return a token that is good now, for another use than HTTP by httpx2 or requests."""
        return self._keeper.token()

    async def token_async(self) -> Token:
        """Return a token that is good now, for another use than HTTP by httpx2 or requests."""
        return await self._keeper.token_async()

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send the request with a token, and once more with another one when the answer is 401."""
        self._origins.require(request.url)
        token = self._keeper.token()
        request.headers["Authorization"] = token.header
        response = yield request
        if self._repeatable(response, token) and (successor := self._keeper.successor(token)) is not None:
            response.request.headers["Authorization"] = successor.header
            yield response.request

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send the request with a token, and once more with another one when the answer is 401."""
        self._origins.require(request.url)
        token = await self._keeper.token_async()
        request.headers["Authorization"] = token.header
        response = yield request
        if self._repeatable(response, token) and (successor := await self._keeper.successor_async(token)) is not None:
            response.request.headers["Authorization"] = successor.header
            yield response.request

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put a token into a request of `requests`, which calls its auth like this; raise TypeError for any other."""
        if not any(base.__module__.startswith("requests.") for base in type(request).__mro__):
            # httpx takes whatever can be called for its auth
            raise TypeError("ClientCredentials is an auth of httpx2 and of requests, of no other HTTP client")
        from authserver.token_client.requests_auth import attach  # noqa: PLC0415 - requests is optional

        return attach(request, keeper=self._keeper, origins=self._origins)

    def close(self) -> None:
        """Wait for a fetch under way, then forget the token. The pause after a failure is kept."""
        self._keeper.close()

    async def aclose(self) -> None:
        """Wait for a fetch under way, then forget the token. The pause after a failure is kept."""
        await self._keeper.close_async()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"ClientCredentials({self._name})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("ClientCredentials holds a secret: it is neither copied nor pickled")

    def _repeatable(self, response: httpx2.Response, token: Token) -> bool:
        """Tell whether a request whose token was refused can be sent again. A stream cannot; the token is renewed."""
        request = response.request  # after a redirect elsewhere it carries no token
        if (
            response.status_code != HTTPStatus.UNAUTHORIZED
            or request.headers.get("Authorization") != token.header
            or not self._origins.allow(request.url)
        ):
            return False
        if isinstance(request.stream, httpx2.ByteStream):
            return True
        self._keeper.replace(token)
        return False
