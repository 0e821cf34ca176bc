"""The token endpoint, `POST /oauth2/token` (RFC 6749 §3.2)."""

from __future__ import annotations

from authserver.core.errors import AuthServerError
from authserver.telemetry.metrics import Metrics
from authserver.tokens.issue import TokenIssuer, TokenRequest
from authserver.wire.answers import json_answer
from authserver.wire.credentials import presented_credentials
from authserver.wire.form import read_form
from authserver.wire.http import Answer, Request


class TokenEndpoint:
    """Issues access tokens for client credentials."""

    methods = frozenset({"POST"})

    def __init__(self, *, issuer: TokenIssuer, metrics: Metrics) -> None:
        """Issue by `issuer`."""
        self._issuer = issuer
        self._metrics = metrics

    async def __call__(self, request: Request) -> Answer:
        """Answer one token request (RFC 6749 §5.1)."""
        # 1 parse once
        form = await read_form(request)
        credentials = presented_credentials(request, form)
        request.notes["client_id"] = credentials.client_id
        token_request = TokenRequest(
            credentials=credentials,
            grant_type=form.require("grant_type"),
            scope=form.get("scope"),
            resources=form.resources,
            parameters=form.fields,
        )
        # 2 issue
        try:
            issued = await self._issuer.issue(token_request)
        except AuthServerError as error:
            self._metrics.count_token_request(None, error.error)
            raise
        # 3 answer
        self._metrics.count_token_request(issued.client_id, "issued")
        request.notes.update(jti=issued.jti, audience=issued.audience, scope=issued.scope)
        body = {"access_token": issued.access_token, "token_type": "Bearer", "expires_in": issued.expires_in}
        if issued.scope:
            body["scope"] = issued.scope
        return json_answer(body)
