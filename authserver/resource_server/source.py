"""The authorization server as a verifier sees it over HTTP: its configuration, keys, feed and introspection.

What it says decides who is let in, so nobody else may say it: certificates are verified, redirects are not followed
(RFC 9700 §4.11), plain http is for loopback, and an answer that is too large or too slow counts as a failure.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote_plus

import httpx2

from authserver.core.connection import connection_problem
from authserver.core.errors import ConfigurationError
from authserver.core.json_value import Json
from authserver.core.text_file import UnreadableFile, read_secret
from authserver.jose.errors import UntrustedToken
from authserver.resource_server.config import MAX_DOCUMENT_BYTES, VerifierConfig
from authserver.resource_server.revocations import FeedPage
from authserver.resource_server.strict_json import read_object

#: The thread in which a verifier talks to the server.
THREAD_NAME = "authserver-verifier"

MAX_KEY_SET_BYTES = 1024 * 1024
MAX_PAGE_BYTES = 16 * 1024 * 1024
MAX_ANSWER_BYTES = 256 * 1024

#: How long after its wait the feed may answer. One that hangs then tells nothing of what is revoked elsewhere.
_LONGEST_DELAY_SECONDS = 2.0

_OK = 200
_NOT_MODIFIED = 304
_REFUSED = {
    401: "client id or secret is wrong (a str is the secret itself, a Path its file: the secret alone, not id:secret)",
    403: "the client is no resource server of this audience (authserver resources update URI --server CLIENT_ID, "
    "once for each of its resource servers: the list is replaced)",
}
_MAX_DIGITS = 9


class SourceFailed(Exception):
    """The server did not answer, or not with what was asked for. `refused`: it does not accept our credentials.

    `retry_after_seconds` is how long it wants to be left alone (RFC 9110 §10.2.3), 0 when it does not say.
    """

    def __init__(self, reason: str, *, refused: bool = False, retry_after_seconds: int = 0) -> None:
        """`reason` says what happened, without secrets."""
        super().__init__(reason)
        self.refused = refused
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach the server. `client_id` and `client_secret`, or its file, are those of the resource server.

    `ssl_context`: to trust a private certificate authority. `allow_http`: on a network that you trust.
    """

    client_id: str | None = None
    client_secret: str | Path | None = field(default=None, repr=False)
    timeout_seconds: float = 5
    ssl_context: ssl.SSLContext | None = None
    allow_http: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigurationError for what cannot work, or protects nothing."""
        for name, value in (("client_id", self.client_id), ("client_secret", self.client_secret)):
            if not (value is None or _is_text(value) or (name == "client_secret" and isinstance(value, Path))):
                raise ConfigurationError(f"{name} must be a str of printable characters")
        if reason := connection_problem(timeout_seconds=self.timeout_seconds, ssl_context=self.ssl_context):
            raise ConfigurationError(reason)

    def prepared(self) -> Self:
        """Return one with an `ssl_context`, so that no event loop has to wait until one is made.

        Raises ConfigurationError when the environment names proxies or certificate authorities that cannot be used.
        """
        try:
            prepared = self if self.ssl_context else replace(self, ssl_context=_system_trust())
            prepared.client()  # connects to nobody
        except (ImportError, OSError, ValueError, httpx2.InvalidURL) as error:
            is_socks = isinstance(error, ImportError)
            reason = "SOCKS needs pip install 'httpx2[socks]'" if is_socks else type(error).__name__
            raise ConfigurationError(  # the error's text may hold the password of a proxy
                f"HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE or SSL_CERT_DIR: cannot be used ({reason}); mend or unset them."
            ) from None
        return prepared

    def client(self) -> httpx2.AsyncClient:
        """Return a pool of connections; never by a proxy where the connection is not encrypted."""
        return httpx2.AsyncClient(
            verify=self.ssl_context or True,
            timeout=self.timeout_seconds,
            follow_redirects=False,
            headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "authserver-verifier"},
            mounts={"http://": None},
        )

    @property
    def has_credentials(self) -> bool:
        """Tell whether there are an id and a secret."""
        return self.client_id is not None and self.client_secret is not None

    def authentication(self) -> tuple[str, str] | None:
        """Return id and secret for HTTP Basic, form-encoded (RFC 6749 §2.3.1); None when there are none.

        A file is read each time, since the secret may have been rotated. Raises UnreadableFile.
        """
        if self.client_id is None or self.client_secret is None:
            return None
        secret = self.client_secret
        return quote_plus(self.client_id), quote_plus(read_secret(secret) if isinstance(secret, Path) else secret)


def _is_text(value: object) -> bool:
    """Tell whether a value can be sent: what the environment has in another encoding is a str, too."""
    return isinstance(value, str) and value.isprintable()


@cache
def _system_trust() -> ssl.SSLContext:
    """Return an SSL context with the certificate authorities of the system; reading them takes up to 0.1 s, once."""
    return httpx2.create_ssl_context()


class Fetched(NamedTuple):
    """A JWK Set, and the ETag to ask for another one with."""

    body: bytes
    etag: str


class Source:
    """One connection pool, to be used within one event loop."""

    def __init__(self, connection: Connection) -> None:
        """Connect on first use."""
        logging.getLogger("httpx2").addFilter(_is_worth_a_line)
        self._connection = connection
        self._client = connection.client()

    async def configuration(self, url: str) -> VerifierConfig:
        """Fetch the verifier configuration. Raises SourceFailed, or ConfigurationError for one that cannot be used."""
        _, body = await self._ask("GET", url, limit=MAX_DOCUMENT_BYTES)
        try:
            return VerifierConfig.of(_json(body), allow_http=self._connection.allow_http)
        except ConfigurationError as error:
            raise ConfigurationError(*(f"{url}: {problem}" for problem in error.problems)) from None

    async def key_set(self, url: str, *, etag: str) -> Fetched | None:
        """Fetch the JWK Set as it is now, whatever caches have; None when it is still the one of `etag`."""
        headers = {"cache-control": "no-cache", **({"if-none-match": etag} if etag else {})}
        status, fields, body = await self._send(
            "GET", url, limit=MAX_KEY_SET_BYTES, headers=headers, authenticated=False
        )
        if status == _NOT_MODIFIED and etag:
            return None
        if status != _OK:
            raise _unanswered(url, status, fields)
        return Fetched(body, fields.get("etag", ""))

    async def page(self, config: VerifierConfig, *, after: str | None, jwks: str, wait_seconds: int) -> FeedPage:
        """Ask the feed for what came after a cursor, and wait for something to come."""
        parameters = (
            {"wait": str(wait_seconds)} | ({"after": after} if after else {}) | ({"jwks": jwks} if jwks else {})
        )
        url = str(httpx2.URL(config.revocations_endpoint or "", params=parameters))
        fields, body = await self._ask(
            "GET", url, limit=MAX_PAGE_BYTES, wait_seconds=wait_seconds, headers={"cache-control": "no-store"}
        )
        if fields.get("age", "0") != "0":  # RFC 9111 §5.1: a cache answers, and what was revoked since is not in it
            raise SourceFailed("the feed's answer is from a cache: have none between here and the authorization server")
        try:
            return FeedPage.read(_json(body), workspace_id=config.workspace_id)
        except ValueError as error:
            raise SourceFailed(str(error)) from None

    async def introspection(self, config: VerifierConfig, token: str) -> Mapping[str, Json]:
        """Introspect a token (RFC 7662 §2)."""
        _, body = await self._ask(
            "POST", config.introspection_endpoint or "", limit=MAX_ANSWER_BYTES, data={"token": token}
        )
        try:
            answer = read_object(body, "answer")
        except UntrustedToken as fault:
            raise SourceFailed(fault.reason) from None
        if not isinstance(answer.get("active"), bool):
            raise SourceFailed("the answer is no introspection response")
        return answer

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _ask(self, method: str, url: str, **more: Any) -> tuple[Mapping[str, str], bytes]:
        """Ask with our credentials; return header fields and body of an answer 200, or raise SourceFailed."""
        status, fields, body = await self._send(method, url, **more)
        if status in _REFUSED:
            raise SourceFailed(f"{_address(url)} answers {status}: {_REFUSED[status]}", refused=True)
        if status != _OK:
            raise _unanswered(url, status, fields)
        return fields, body

    async def _send(
        self, method: str, url: str, *, limit: int, wait_seconds: float = 0, authenticated: bool = True, **more: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, header fields and body; raise SourceFailed."""
        timeout = self._connection.timeout_seconds
        after_its_wait = min(timeout, _LONGEST_DELAY_SECONDS) if wait_seconds else timeout
        try:
            auth = self._connection.authentication() if authenticated else None
            async with (
                asyncio.timeout(wait_seconds + 2 * timeout),
                self._client.stream(
                    method,
                    url,
                    auth=auth,
                    timeout=httpx2.Timeout(timeout, read=wait_seconds + after_its_wait),
                    **more,
                ) as response,
            ):
                body = await _capped(response, limit)
                return response.status_code, response.headers, body
        except UnreadableFile as reason:
            raise SourceFailed(f"{self._connection.client_secret}: cannot be read ({reason})") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError) as error:
            detail = f": {error}" if isinstance(error, httpx2.ConnectError) else ""
            raise SourceFailed(f"{type(error).__name__} while asking {_address(url)}{detail}") from error


async def _capped(response: httpx2.Response, limit: int) -> bytes:
    """Return the body as it came: it was asked for without compression, which has no bound."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit:
            raise SourceFailed(f"an answer of more than {limit} bytes")
    return bytes(body)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out what httpx2 tells at INFO of every request: a long-poll of ours every 5 seconds is no news."""
    return record.threadName != THREAD_NAME or record.levelno > logging.INFO


def _unanswered(url: str, status: int, fields: Mapping[str, str]) -> SourceFailed:
    return SourceFailed(f"{_address(url)} answers {status}", retry_after_seconds=_retry_after(fields))


def _address(url: str) -> str:
    """Return scheme, host, port and path, which are no secret."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        return "the authorization server"
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    return f"{parsed.scheme}://{host}" + (f":{parsed.port}" if parsed.port else "") + parsed.path


def _retry_after(fields: Mapping[str, str]) -> int:
    """Return the seconds of Retry-After; 0 if it is absent, or a date: the server's clock may differ from ours."""
    text = fields.get("retry-after", "")
    return int(text[:_MAX_DIGITS]) if text.isascii() and text.isdigit() else 0


def _json(body: bytes) -> Json:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise SourceFailed("the answer is not valid JSON") from None
