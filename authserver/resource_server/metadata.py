"""What a resource server answers by itself: its own description (RFC 9728), and refusals that point to it."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from authserver.core.json_value import Json
from authserver.resource_server.base import BaseVerifier
from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.errors import CannotVerify, Refusal

#: Where the description is, before the path of the resource identifier if it has one (RFC 9728 §3.1).
WELL_KNOWN = "/.well-known/oauth-protected-resource"

_JSON = ("Content-Type", "application/json")
_ANY_ORIGIN = ("Access-Control-Allow-Origin", "*")
_PUBLIC = (("Cache-Control", "public, max-age=300"), _ANY_ORIGIN)

_log = logging.getLogger("authserver.resource_server")


class Answer(NamedTuple):
    """A whole HTTP response."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


#: The answer to a browser's CORS preflight for the description.
_PREFLIGHT = Answer(
    204,
    (
        _ANY_ORIGIN,
        ("Access-Control-Allow-Methods", "GET"),
        ("Access-Control-Allow-Headers", "*"),
        ("Access-Control-Max-Age", "86400"),
    ),
    b"",
)


class ProtectedResource:
    """The resource that a verifier's tokens are for."""

    def __init__(self, verifier: BaseVerifier, *, resource_name: str = "", metadata_url: str | None = None) -> None:
        """`resource_name` is for people. `metadata_url`: where the description is, if not where RFC 9728 §3.1 says."""
        self._verifier = verifier
        self._resource_name = resource_name
        self._metadata_url = metadata_url

    def own_answer(self, method: str | None, path: str) -> Answer | None:
        """Return the description, or what a browser asks before it; None for what the application has to answer."""
        if method not in ("GET", "HEAD", "OPTIONS") or not self.serves(path):
            return None
        return _PREFLIGHT if method == "OPTIONS" else self.describe()

    def serves(self, path: str) -> bool:
        """Tell whether the description is at this path: the one in its URL, or the one without the resource's own."""
        if not path.startswith(WELL_KNOWN):
            return False
        config = self._config()
        if config is None:
            return True
        url = self._url(config)
        return url != "" and path in (WELL_KNOWN, unquote(urlsplit(url).path))

    def describe(self) -> Answer:
        """Return the protected resource metadata (RFC 9728 §3.2); 503 while the configuration is not known."""
        config = self._config()
        if config is None:
            return self.refuse(CannotVerify("there is no configuration yet"))
        document: Mapping[str, Json] = {
            "resource": config.audience,
            "authorization_servers": [config.issuer],
            "scopes_supported": sorted(config.inclusion),
            "bearer_methods_supported": ["header"],
            "resource_name": self._resource_name,
        }
        body = json.dumps({name: value for name, value in document.items() if value}).encode()
        return Answer(200, (_JSON, *_PUBLIC, _length(body)), body)

    def refuse(self, refusal: Refusal) -> Answer:
        """Return the answer to a refused request; its challenge names the description (RFC 9728 §5.1)."""
        _log.debug("refused with %d: %s", refusal.status, refusal.reason)
        config = self._config()
        url = "" if config is None else self._url(config)
        body = json.dumps(refusal.body).encode()
        return Answer(refusal.status, (_JSON, *refusal.headers(resource_metadata=url), _length(body)), body)

    def _config(self) -> VerifierConfig | None:
        """Return the configuration; a verifier that must fetch it first does so, before any token has come."""
        config = self._verifier.config
        if config is None:
            with contextlib.suppress(CannotVerify):  # no thread is to be had; the answer does not depend on it
                self._verifier.start_soon()
        return config

    def _url(self, config: VerifierConfig) -> str:
        return metadata_url(config.audience) if self._metadata_url is None else self._metadata_url


def metadata_url(identifier: str) -> str:
    """Return where a resource's metadata is (RFC 9728 §3.1); empty for an identifier that is no URL."""
    parts = urlsplit(identifier)
    if parts.scheme not in ("https", "http"):
        return ""
    path = "" if parts.path == "/" else parts.path
    return parts._replace(path=WELL_KNOWN + path, fragment="").geturl()


def _length(body: bytes) -> tuple[str, str]:
    return ("Content-Length", str(len(body)))
