"""The issuer's JSON Web Key Set as last fetched, `GET /.well-known/jwks.json` (RFC 7517 §5)."""

from __future__ import annotations

from hashlib import sha256

from authserver.sidecar.judge import Judge
from authserver.wire.etag import has_already
from authserver.wire.http import JSON, Answer, Request

_ASK_AGAIN = (b"cache-control", b"no-cache")  # the way is short, and a key may be withdrawn at any time


class JwksEndpoint:
    """Hands on the public keys, empty for an HS256 resource, which has none."""

    methods = frozenset({"GET", "HEAD"})

    def __init__(self, *, judge: Judge) -> None:
        """Take the keys from `judge`."""
        self._judge = judge

    async def __call__(self, request: Request) -> Answer:
        """Answer with the set, with 304 to who has it, with 503 while it is unknown or too old."""
        document = self._judge.key_set()
        etag = b'"%b"' % sha256(document).hexdigest()[:32].encode()
        headers = (JSON, _ASK_AGAIN, (b"etag", etag))
        return Answer(304, b"", headers) if has_already(request, etag) else Answer(200, document, headers)
