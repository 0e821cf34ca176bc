"""Entity tags (RFC 9110 §8.8.3): whether a caller has what it asks for already."""

from __future__ import annotations

import re

from authserver.wire.http import Request

_ETAG = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def has_already(request: Request, etag: bytes) -> bool:
    """Tell whether `If-None-Match` names an entity tag, given with its quotes (RFC 9110 §13.1.2).

    Compared weakly: a proxy that compresses makes a strong one a weak one (§8.8.3.2).
    """
    known = b",".join(request.header_values(b"if-none-match"))
    return known.strip() == b"*" or etag in _ETAG.findall(known)
