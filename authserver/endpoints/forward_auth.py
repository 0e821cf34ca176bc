"""Forward-auth, `GET /forward-auth`: a proxy asks whether a request may pass, and who sends it (RFC 6750).

For nginx `auth_request`, Caddy and Traefik `forward_auth`, and Envoy `ext_authz`, which asks below `/forward-auth/`.
What to write into the proxy stands in docs/forward-auth.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from authserver.core.errors import InsufficientScope, InvalidRequest, InvalidToken
from authserver.core.identity import Identity
from authserver.endpoints.forward_headers import identity_fields
from authserver.endpoints.forward_request import (
    HeldRequest,
    Original,
    Question,
    is_original_query,
    names_parameter,
    read_held,
    read_question,
)
from authserver.endpoints.forward_rules import NO_NEEDS, Rules, ScopeNeeds
from authserver.telemetry.logs import current_request_id
from authserver.wire.answers import bearer_refusal
from authserver.wire.http import NO_STORE, Answer, Endpoint, Request

FORWARD_AUTH_PATH = "/forward-auth"


class IdentityCheck(Protocol):
    """Judges tokens for a resource, wherever the knowledge comes from."""

    async def __call__(self, token: str, resource: str | None) -> Identity:
        """Return who presents a token that holds now; `resource` None: the one that is meant if none is named.

        Raises InvalidToken, InsufficientScope, AccessDenied, or TemporarilyUnavailable when it cannot be known.
        """


@dataclass(frozen=True, slots=True)
class _Demand:
    """What is asked of whoever sends one request, by the proxy's query and by the rule for it together."""

    anonymous: bool
    resource: str | None
    needs: tuple[ScopeNeeds, ...]

    def scopes(self) -> tuple[str, ...]:
        """Return the scopes to name in a challenge (RFC 6750 §3)."""
        return tuple(dict.fromkeys(name for needs in self.needs for name in (*needs.all_of, *needs.any_of)))


def _demand(question: Question, rules: Rules | None, original: Original) -> _Demand:
    if rules is None:
        return _Demand(anonymous=False, resource=question.resource, needs=(question.needs,))
    rule = rules.find(original.method, original.uri, question.resource)
    return _Demand(
        anonymous=rule.anonymous and question.needs == NO_NEEDS,
        resource=question.resource or rule.resource,
        needs=(question.needs, rule.needs),
    )


class ForwardAuthEndpoint:
    """Lets a proxy let a request pass: 204 with the identity in headers, 401, 403, or 503 for "cannot know"."""

    methods = frozenset({"GET", "HEAD"})

    def __init__(self, *, check: IdentityCheck, rules: Rules | None = None) -> None:
        """Judge tokens by `check`; with `rules`, judge the original request's method and path as well."""
        self._check = check
        self._rules = rules

    async def __call__(self, request: Request) -> Answer:
        """Answer a proxy that names the original request in headers.

        Raises InvalidRequest for a query that is the original request's: the client's, who would choose the resource.
        """
        held = read_held(request.headers)
        if is_original_query(request.query, held.original):
            raise InvalidRequest(
                "the query is the original request's own: have the proxy set it (Caddy: `uri /forward-auth?`)"
            )
        return await self.answer(request, read_question(request.query), held, status=204)

    def below(self, path: bytes) -> Endpoint:
        """Return what answers a proxy that asks with the original method, behind a prefix of the original path."""
        return _EnvoyRequest(self, path)

    async def answer(self, request: Request, question: Question, held: HeldRequest, *, status: int) -> Answer:
        """Judge one request; the answer has `status` when it may pass."""
        demand = _demand(question, self._rules, held.original)
        try:
            identity = await self._identity(held, demand)
        except (InvalidToken, InsufficientScope) as refusal:
            request.notes.update(error=refusal.error, reason=refusal.reason)
            return bearer_refusal(
                refusal,
                request_id=current_request_id.get(),
                presented=held.token is not None,
                scopes=demand.scopes(),
            )
        return self._passed(request, question, identity, status)

    async def _identity(self, held: HeldRequest, demand: _Demand) -> Identity | None:
        """Return who asks, None where nobody needs to be known."""
        if demand.anonymous:
            return None
        if held.token is None:
            raise InvalidToken("no bearer token")
        identity = await self._check(held.token, demand.resource)
        if not all(needs.met_by(identity.scopes) for needs in demand.needs):
            if not identity.scope:
                raise InvalidToken("the token says nothing of scopes, and one is needed here")
            raise InsufficientScope("the token lacks a scope that is needed here")
        return identity

    def _passed(self, request: Request, question: Question, identity: Identity | None, status: int) -> Answer:
        claims = question.claims if self._rules is None else (*question.claims, *self._rules.claims)
        if identity is not None:
            request.notes["client_id"] = identity.client_id
        return Answer(status, b"", (NO_STORE, *identity_fields(identity, claims)))


class _EnvoyRequest:
    """One request in Envoy's way, whose query is the original one's. Envoy lets pass at 200 alone, not at 204."""

    __slots__ = ("_endpoint", "_path")

    methods = None

    def __init__(self, endpoint: ForwardAuthEndpoint, path: bytes) -> None:
        """Ask `endpoint` about a raw path, and the method of the request for it."""
        self._endpoint = endpoint
        self._path = path

    async def __call__(self, request: Request) -> Answer:
        """Answer, without parameters: what stands in the query is the client's.

        Raises InvalidRequest for parameters of ours at `/` itself, which a proxy means that asks one slash too many.
        """
        if self._path == b"/" and names_parameter(request.query):
            raise InvalidRequest(
                "below /forward-auth/ no parameter is looked at: have the proxy ask /forward-auth, without the slash"
            )
        target = self._path + (b"?" + request.query if request.query else b"")
        original = Original(request.method, target.decode("latin-1"))
        return await self._endpoint.answer(request, Question(), read_held(request.headers, original), status=200)
