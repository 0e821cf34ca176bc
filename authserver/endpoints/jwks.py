"""The JSON Web Key Set, `GET /.well-known/jwks.json` (RFC 7517 §5), cheap to ask for again (RFC 9110 §13.1.2)."""

from __future__ import annotations

from authserver.keys.ring import KeyRing
from authserver.wire.etag import has_already
from authserver.wire.http import JSON, Answer, Request
from authserver.wire.public import PUBLIC_CORS


class JwksEndpoint:
    """Publishes the public keys, for as long as a cache may keep them; the ETag is their digest in the feed."""

    methods = frozenset({"GET", "HEAD"})

    def __init__(self, *, keys: KeyRing, max_age_seconds: int) -> None:
        """Publish `keys`; caches may keep the answer for `max_age_seconds`, less than a new key's lead."""
        self._keys = keys
        self._headers = (JSON, PUBLIC_CORS, (b"cache-control", b"public, max-age=%d" % max_age_seconds))

    async def __call__(self, request: Request) -> Answer:
        """Answer with the set, or with 304 to who has it."""
        etag = b'"%b"' % self._keys.jwks_digest().encode()
        headers = (*self._headers, (b"etag", etag))
        if has_already(request, etag):
            return Answer(304, b"", headers)
        return Answer(200, self._keys.jwks(), headers)
