"""One request to the authorization server and its answer: bounded in time and size, no redirect followed."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2

from authserver.core.connection import is_loopback
from authserver.token_client.answer import Answer
from authserver.token_client.errors import TokenUnavailable

MAX_BYTES = 64 * 1024
MAX_PROXY_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Exchange:
    """How a server is asked until `deadline`, seconds of `time.monotonic`.

    There is one connection for each request, as tokens are seldom asked for: nothing is left open, and a process that
    forks shares no socket.
    """

    deadline: float
    ssl_context: ssl.SSLContext

    def get(self, url: str) -> Answer:
        """Send a GET; raise TokenUnavailable when no whole answer comes."""
        return self._send("GET", url, {"Accept": "application/json"}, None)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a POST; raise TokenUnavailable when no whole answer comes."""
        return self._send("POST", url, headers, body)

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        try:
            return self._answer(method, url, headers, body)
        except TimeoutError:
            failure = "too slow"
        except httpx2.TimeoutException as error:
            failure = type(error).__name__
        except httpx2.ConnectError as error:
            failure = f"{type(error).__name__}: {error}"  # the system's words: refused, unknown name, certificate
        except httpx2.ProxyError as error:
            failure = f"{type(error).__name__}: {str(error)[:MAX_PROXY_CHARACTERS]}"  # status and reason phrase
        except UnicodeError:
            failure = "a host name that DNS cannot have, such as one with an empty label"  # the server's, or a proxy's
        except (httpx2.HTTPError, OSError) as error:
            failure = type(error).__name__
        # Outside of the block: httpx2's errors hold the request, and with it the secret.
        raise TokenUnavailable(f"the authorization server cannot be reached ({failure})")

    def _answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        content = bytearray()
        with (
            self._client(url) as client,
            client.stream(method, url, headers={**headers, "Accept-Encoding": "identity"}, content=body) as response,
        ):
            for chunk in response.iter_raw():
                content += chunk
                self._remaining_seconds()
                if len(content) > MAX_BYTES:
                    raise TokenUnavailable("the answer of the authorization server is too large")
            fields = response.headers
            return Answer(
                response.status_code,
                bytes(content),
                datetime.now(UTC),
                date=fields.get("Date"),
                retry_after=fields.get("Retry-After"),
            )

    def _client(self, url: str) -> httpx2.Client:
        """Return a client for the URL; raise TokenUnavailable when the environment's proxy settings cannot be used."""
        timeout = self._remaining_seconds()
        trust_env = not is_loopback(httpx2.URL(url).host)  # a proxy cannot reach our own loopback interface
        try:
            return httpx2.Client(verify=self.ssl_context, timeout=timeout, follow_redirects=False, trust_env=trust_env)
        except ImportError:
            problem = "a SOCKS proxy needs the package socksio, pip install 'httpx2[socks]'"
        except (httpx2.InvalidURL, ValueError):  # whose texts quote the URL, and that may hold a password
            problem = "a proxy is http://, https://, socks5:// or socks5h://, with a host and perhaps a port"
        variables = "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY"
        raise TokenUnavailable(f"the proxy settings of the environment ({variables}) cannot be used: {problem}")

    def _remaining_seconds(self) -> float:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining


def system_trust() -> ssl.SSLContext:
    """Return a context with the certificate authorities of the system, or of the environment. Reading them is slow.

    Raises TokenUnavailable when they cannot be read.
    """
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        problem = error.strerror or type(error).__name__
    raise TokenUnavailable(f"the certificate authorities of SSL_CERT_FILE or the system cannot be read: {problem}")
