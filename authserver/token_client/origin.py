"""Where secrets and tokens may go: over TLS, or to this machine (RFC 6749 §3.2, RFC 6750 §5.3, RFC 8414 §2)."""

from __future__ import annotations

from collections.abc import Collection

import httpx2

from authserver.core.connection import is_loopback
from authserver.token_client.errors import OriginNotAllowed


def server_url(text: str, name: str) -> httpx2.URL:
    """Return the address of an authorization server; raise ValueError, with its `name`, when it cannot be one."""
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        raise ValueError(f"the {name} is not a URL") from None
    if url.userinfo or "#" in text or not url.host:
        raise ValueError(f"the {name} is not a URL of a host, without a user and a fragment")
    if not is_private(url):
        raise ValueError(f"the {name} is not https")
    return url


def is_private(url: httpx2.URL) -> bool:
    """Tell whether nobody on the way can read what is sent there."""
    return url.scheme == "https" or (url.scheme == "http" and is_loopback(url.host))


class Origins:
    """The origins that get the token: those that were listed, else all that cannot be overheard."""

    def __init__(self, origins: Collection[str] | None) -> None:
        """Allow `origins`, each `scheme://host[:port]`; raise ValueError for what is none."""
        listed = (origins,) if isinstance(origins, str) else origins
        self._listed = None if listed is None else frozenset(_origin(text) for text in listed)

    def allow(self, url: str | httpx2.URL) -> bool:
        """Tell whether the token may go there."""
        try:
            parsed = httpx2.URL(url)
            return is_private(parsed) if self._listed is None else parsed.origin in self._listed
        except (httpx2.InvalidURL, ValueError):  # ValueError: a URL without a host has no origin
            return False

    def require(self, url: str | httpx2.URL) -> None:
        """Raise OriginNotAllowed when the token must not go there."""
        if not self.allow(url):
            why = "neither https nor this machine" if self._listed is None else "not among `origins`"
            raise OriginNotAllowed(f"no token is sent to {_place(url)}: {why}")


def _place(url: str | httpx2.URL) -> str:
    """Return scheme, host and port; the rest of a URL may hold secrets."""
    try:
        parsed = httpx2.URL(url)
        return f"{parsed.scheme}://{parsed.netloc.decode()}" if parsed.host else "a URL without a host"
    except (httpx2.InvalidURL, ValueError):
        return "an invalid URL"


def _origin(text: str) -> httpx2.Origin:
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        url = httpx2.URL()
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.raw_path != b"/" or "#" in text:
        raise ValueError("an origin is scheme://host or scheme://host:port")
    return url.origin
