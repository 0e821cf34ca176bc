"""What a proxy asks forward-auth, read into frozen values: its own parameters, and the request that it holds back.

nginx (by our configuration) names the original request in `X-Original-Method` and `X-Original-URI`, Caddy and Traefik
in `X-Forwarded-Method` and `X-Forwarded-Uri`, Envoy asks with its method, below a prefix of its path. Where two of
these name it they must agree: a client may have sent one of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from authserver.core.errors import InvalidRequest
from authserver.core.scope import parse_scope
from authserver.endpoints.forward_rules import MAX_CLAIM_CHARACTERS, MAX_CLAIMS, NO_NEEDS, ClaimHeaders, ScopeNeeds
from authserver.wire.http import Headers

MAX_QUERY_BYTES: Final = 4096

_PARAMETERS = frozenset({"scope", "any_scope", "resource", "claims"})
_MAX_RESOURCE_CHARACTERS = 512
_SEPARATOR = re.compile(r"[ ,]+")
_NO_NAME = re.compile(r"[^a-z0-9]+")
_ACCESS_TOKEN = "access_token"

_FAMILIES: Final = ((b"x-original-method", b"x-original-uri"), (b"x-forwarded-method", b"x-forwarded-uri"))
_READ: Final = frozenset((b"authorization", *_FAMILIES[0], *_FAMILIES[1]))
_BEARER = b"bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The parameters of a proxy: `scope` and `any_scope`, the audience that it protects, claims to hand on."""

    needs: ScopeNeeds = NO_NEEDS
    resource: str | None = None
    claims: ClaimHeaders = ()


@dataclass(frozen=True, slots=True)
class Original:
    """The method and the raw target of the request that the proxy holds back, "" where it does not say."""

    method: str = ""
    uri: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """The request that the proxy holds back: what it asks for, and the bearer token in it, None without one."""

    original: Original
    token: str | None = field(repr=False)


@lru_cache(maxsize=256)
def read_question(query: bytes) -> Question:
    """Return the parameters in a query string, which a proxy repeats with every request.

    Raises InvalidRequest for one that is unknown, repeated or empty (a variable of the proxy that was not set must
    open no door), and InvalidScope.
    """
    if not query:
        return Question()
    if len(query) > MAX_QUERY_BYTES:
        raise InvalidRequest("the query is too long")
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidRequest("the query cannot be read") from None
    values = dict(pairs)
    if len(values) < len(pairs) or not values.keys() <= _PARAMETERS or not all(values.values()):
        raise InvalidRequest("a query parameter is unknown, repeated or empty")
    resource = values.get("resource")
    if resource is not None and len(resource) > _MAX_RESOURCE_CHARACTERS:
        raise InvalidRequest("the resource is too long")
    return Question(
        needs=ScopeNeeds(parse_scope(values.get("scope", "")), parse_scope(values.get("any_scope", ""))),
        resource=resource,
        claims=_claim_headers(values["claims"]) if "claims" in values else (),
    )


def names_parameter(query: bytes) -> bool:
    """Tell whether a query, which need not be one of ours, names a parameter of ours."""
    return any(name in _PARAMETERS for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True))


def is_original_query(query: bytes, original: Original) -> bool:
    """Tell whether our query is the one of the original request, which a proxy leaves when it changes the path alone.

    A client may put a fragment behind its query, and HTTP parsers drop it from ours.
    """
    return query != b"" and query.decode("latin-1") == original.uri.partition("?")[2].partition("#")[0]


def _claim_headers(text: str) -> ClaimHeaders:
    names = [name for name in _SEPARATOR.split(text) if name]
    if not 0 < len(names) <= MAX_CLAIMS or any(len(name) > MAX_CLAIM_CHARACTERS for name in names):
        raise InvalidRequest(f"claims names 1 to {MAX_CLAIMS} claims of at most {MAX_CLAIM_CHARACTERS} characters")
    headers = {claim_header(name): name for name in names}
    if len(headers) < len(names):
        raise InvalidRequest("two claims would go into one header")
    return tuple((name, header) for header, name in headers.items())


def claim_header(name: str) -> bytes:
    """Return the header for a claim: `user_id` and `user.id` go into `x-auth-claim-user-id`."""
    words = _NO_NAME.sub("-", name.lower()).strip("-")
    if not words:
        raise InvalidRequest("a claim has no letter or digit to name a header with")
    return f"x-auth-claim-{words}".encode()


def read_held(headers: Headers, below: Original | None = None) -> HeldRequest:
    """Return the request that the proxy holds back; `below` is the one that it asked with, in Envoy's way.

    Raises InvalidRequest when one of these headers is repeated or they differ, and for a token in the header and
    another in the original query (RFC 6750 §2).
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _READ:
            if name in found:
                raise InvalidRequest(f"more than one {name.decode()} header")
            found[name] = value
    authorization = found.pop(b"authorization", None)
    original = _original(found, below)
    token = None if authorization is None else _bearer_token(authorization)
    if token is not None and _names_token(original.uri.partition("?")[2]):
        raise InvalidRequest("an access token in the header and in the query of the original request")
    return HeldRequest(original, token)


def _original(found: Mapping[bytes, bytes], below: Original | None) -> Original:
    """Return the one original request; a family of headers that is half there agrees with no other."""
    families = [tuple(found.get(name, b"").decode("latin-1") for name in family) for family in _FAMILIES]
    known = [Original(method, uri) for method, uri in families if method or uri]
    known += [below] if below is not None else []
    if any(other != known[0] for other in known):
        raise InvalidRequest("the original request is named twice, and differently")
    return known[0] if known else Original()


def _bearer_token(authorization: bytes) -> str | None:
    """Return what stands behind `Bearer` (RFC 6750 §2.1), for the check to judge; None for nothing, another scheme."""
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != _BEARER:
        return None
    return token.strip(b" ").decode("latin-1") or None


def _names_token(query: str) -> bool:
    if _ACCESS_TOKEN not in query and "%" not in query:
        return False
    names = (pair.partition("=")[0] for pair in query.replace(";", "&").split("&"))
    return any(unquote_plus(name) == _ACCESS_TOKEN for name in names)
