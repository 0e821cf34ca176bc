"""Authorization server metadata (RFC 8414): built once from the settings, never from a request."""

from __future__ import annotations

from urllib.parse import urlsplit

from authserver.core.client import AuthMethod
from authserver.core.errors import InvalidRequest
from authserver.wire.answers import encode_json
from authserver.wire.http import JSON, Answer, Request
from authserver.wire.public import PUBLIC_CORS

TOKEN_PATH = "/oauth2/token"
INTROSPECTION_PATH = "/oauth2/introspect"
REVOCATION_PATH = "/oauth2/revoke"
REVOCATIONS_PATH = "/oauth2/revocations"
AUTHORIZATION_PATH = "/oauth2/authorize"
JWKS_PATH = "/.well-known/jwks.json"

_WELL_KNOWN = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


def metadata_document(issuer: str) -> dict[str, object]:
    """Return the metadata: exactly what works (RFC 8414 §2).

    There is no authorization code flow, but clients refuse metadata without its members: the endpoint is
    a real one, and answers with an OAuth error.
    """
    base = issuer.rstrip("/")
    methods = [method.value for method in AuthMethod]
    return {
        "issuer": issuer,
        "authorization_endpoint": base + AUTHORIZATION_PATH,
        "token_endpoint": base + TOKEN_PATH,
        "jwks_uri": base + JWKS_PATH,
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint": base + INTROSPECTION_PATH,
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": base + REVOCATION_PATH,
        "revocation_endpoint_auth_methods_supported": methods,
    }


def metadata_paths(issuer: str) -> tuple[str, ...]:
    """Return where the metadata is served: both well-known places, and those of an issuer with a path (§3.1)."""
    path = urlsplit(issuer).path.rstrip("/")
    if not path:
        return _WELL_KNOWN
    return (*_WELL_KNOWN, *(place + path for place in _WELL_KNOWN), path + _WELL_KNOWN[1])


class MetadataEndpoint:
    """Publishes the metadata document."""

    methods = frozenset({"GET", "HEAD"})

    def __init__(self, *, issuer: str, max_age_seconds: int) -> None:
        """Describe the server at `issuer`."""
        cache = (b"cache-control", b"public, max-age=%d" % max_age_seconds)
        self._answer = Answer(200, encode_json(metadata_document(issuer)), (JSON, PUBLIC_CORS, cache))

    async def __call__(self, request: Request) -> Answer:  # noqa: ARG002
        """Answer with the document."""
        return self._answer


class AuthorizationEndpoint:
    """Stands where metadata says, and refuses: this server has no user to ask (RFC 6749 §4.1)."""

    methods = frozenset({"GET", "HEAD", "POST"})

    async def __call__(self, request: Request) -> Answer:  # noqa: ARG002
        """Refuse without reading anything: there is no redirect URI that could be trusted (RFC 6749 §4.1.2.1)."""
        raise InvalidRequest("the authorization endpoint has no response type")
