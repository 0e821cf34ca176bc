"""The introspection endpoint, `POST /oauth2/introspect` (RFC 7662)."""

from __future__ import annotations

from authserver.tokens.introspect import TokenIntrospector
from authserver.wire.answers import json_answer
from authserver.wire.credentials import presented_credentials
from authserver.wire.form import read_form
from authserver.wire.http import Answer, Request

_INACTIVE = json_answer({"active": False})


class IntrospectionEndpoint:
    """Tells authorised callers what a token says and whether it holds."""

    methods = frozenset({"POST"})

    def __init__(self, *, introspector: TokenIntrospector) -> None:
        """Ask `introspector`."""
        self._introspector = introspector

    async def __call__(self, request: Request) -> Answer:
        """Answer one introspection request (RFC 7662 §2.2). `token_type_hint` is not needed, so not read."""
        form = await read_form(request)
        credentials = presented_credentials(request, form)
        request.notes["client_id"] = credentials.client_id
        result = await self._introspector.introspect(credentials, form.require("token"))
        if result.claims is None:
            request.notes.update(active=False, reason=result.reason)
            return _INACTIVE
        request.notes.update(active=True, jti=result.claims["jti"])
        return json_answer({**result.claims, "active": True, "token_type": "Bearer"})
