"""Introspection from the local copy, `POST /oauth2/introspect` (RFC 7662).

No client is authenticated (§2.1 wants it of a server that anybody can reach): only the service beside us reaches the
loopback or the UNIX socket, and it learns of tokens for its own audience alone.
"""

from __future__ import annotations

from authserver.core.errors import InvalidToken
from authserver.sidecar.judge import Judge
from authserver.wire.answers import json_answer
from authserver.wire.form import read_form
from authserver.wire.http import Answer, Request

_INACTIVE = json_answer({"active": False})


class IntrospectionEndpoint:
    """Tells the service what a token says and whether it holds."""

    methods = frozenset({"POST"})

    def __init__(self, *, judge: Judge) -> None:
        """Ask `judge`."""
        self._judge = judge

    async def __call__(self, request: Request) -> Answer:
        """Answer one introspection request (RFC 7662 §2.2), 503 when nobody can tell."""
        token = (await read_form(request)).require("token")
        try:
            verified = await self._judge.verified(token)
        except InvalidToken as refusal:
            request.notes.update(active=False, reason=refusal.reason)
            return _INACTIVE
        try:
            answer = json_answer({**verified.claims, "active": True, "token_type": "Bearer"})
        except (ValueError, OverflowError, RecursionError):  # numbers and depths that the holder of a secret may write
            request.notes.update(active=False, reason="its claims cannot be written")
            return _INACTIVE
        request.notes.update(active=True, jti=verified.jti)
        return answer
