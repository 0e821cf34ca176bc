"""Verifying the server's own access tokens (RFC 7515 §5.2, RFC 9068 §4, RFC 8725).

A token of ours has one of finitely many headers: each key that we hold, times the two `typ` values. So the
encoded header is looked up as a whole and never decoded. By construction that refuses `alg: none`, another
algorithm than the key's own (RFC 8725 §3.1), `crit` and `b64` of any type, headers that are no JSON object,
oversized headers, embedded `jwk`, `jku` or `x5u`, a missing or foreign `kid`, and every JWE with its `zip`
or `p2c`: there is no list of allowed algorithms that a caller could leave empty or that a header could escape.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256

from authserver.core.access_token import AccessToken
from authserver.jose.compact import JwsKey, open_compact
from authserver.jose.errors import UntrustedToken
from authserver.keys.access_token import KeyFacts, read_access_token
from authserver.keys.errors import NotHeardOf
from authserver.keys.signer import is_header_of_ours

__all__ = ["AccessToken", "TokenVerifier", "UntrustedToken"]

MAX_TOKEN_CHARACTERS = 16 * 1024
DEFAULT_CACHE_ENTRIES = 8_192

#: Returns the identifier of a resource, None when there is no such resource.
AudienceOf = Callable[[str], str | None]


class TokenVerifier:
    """Verifies signature, issuer and shape; time and revocation are judged by the caller, on every call.

    `trusted` maps the header segments of our keys to key and facts. Good tokens are remembered by digest,
    never by their text; a new set of keys comes with a new verifier and so with an empty memory.
    """

    __slots__ = ("_audience_of", "_cache", "_cache_entries", "_issuer", "_trusted")

    def __init__(
        self,
        *,
        issuer: str,
        trusted: Mapping[str, tuple[JwsKey, KeyFacts]],
        audience_of: AudienceOf,
        cache_entries: int = DEFAULT_CACHE_ENTRIES,
    ) -> None:
        self._issuer = issuer
        self._trusted = trusted
        self._audience_of = audience_of
        self._cache: OrderedDict[bytes, AccessToken] = OrderedDict()
        self._cache_entries = cache_entries

    def verify(self, token: str) -> AccessToken:
        """Return the token that we have signed; raise UntrustedToken for any other text, and nothing else.

        That is NotHeardOf where only the database knows whether the key is ours.
        """
        try:
            return self._verify(token)
        except UntrustedToken:
            raise
        except Exception as error:  # a hostile token must never become a 500, whatever a library raises
            raise UntrustedToken(f"unexpected {type(error).__name__}") from error

    def _verify(self, token: str) -> AccessToken:
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            raise UntrustedToken("too long, or not ASCII")
        digest = sha256(token.encode("ascii")).digest()
        known = self._cache.get(digest)
        if known is None:
            payload, key = open_compact(token, self._key_of)
            known = read_access_token(payload, issuer=self._issuer, key=key)
            self._remember(digest, known)
        else:
            self._cache.move_to_end(digest)
        if known.resource_id is not None:
            self._check_shared_key(known, known.resource_id)
        return known

    def _key_of(self, header: str) -> tuple[JwsKey, KeyFacts] | None:
        entry = self._trusted.get(header)
        if entry is None and is_header_of_ours(header):
            raise NotHeardOf("the header names a key that is not known here")
        return entry

    def _check_shared_key(self, token: AccessToken, resource_id: str) -> None:
        # The services of an HS256 resource hold its key. Without this check they could write themselves
        # tokens for any other audience, the management API's own among them.
        identifier = self._audience_of(resource_id)
        if identifier is None:
            raise NotHeardOf("the key is that of a resource that is not known here")
        if token.audience != (identifier,):
            raise UntrustedToken("the key is not for this audience")

    def _remember(self, digest: bytes, token: AccessToken) -> None:
        self._cache[digest] = token
        if len(self._cache) > self._cache_entries:
            self._cache.popitem(last=False)
