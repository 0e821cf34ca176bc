"""The parameters of a query string, read as strictly as those of a form."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl

from authserver.core.errors import InvalidRequest
from authserver.wire.http import Request


def read_query(request: Request, known: Collection[str], *, max_bytes: int) -> Mapping[str, str]:
    """Return the parameters by name; an empty one counts as omitted (RFC 6749 §3.2).

    Raises InvalidRequest for a query that is longer than `max_bytes` or not UTF-8, and for a parameter that is not
    `known` or stands there twice.
    """
    if len(request.query) > max_bytes:
        raise InvalidRequest("the query is too long")
    try:
        pairs = parse_qsl(request.query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidRequest("the query cannot be read") from None
    values = dict(pairs)
    if len(values) < len(pairs) or not values.keys() <= set(known):
        raise InvalidRequest("a query parameter is unknown or repeated")
    return {name: value for name, value in values.items() if value}
