"""The revocation endpoint, `POST /oauth2/revoke` (RFC 7009)."""

from __future__ import annotations

from authserver.tokens.revoke import TokenRevoker
from authserver.wire.credentials import presented_credentials
from authserver.wire.form import read_form
from authserver.wire.http import NO_STORE, Answer, Request

_DONE = Answer(200, b"", (NO_STORE,))


class RevocationEndpoint:
    """Revokes tokens for their own clients. Its 200 says: stored, and refused from now on."""

    methods = frozenset({"POST"})

    def __init__(self, *, revoker: TokenRevoker) -> None:
        """Revoke by `revoker`."""
        self._revoker = revoker

    async def __call__(self, request: Request) -> Answer:
        """Answer one revocation request (RFC 7009 §2.2). `token_type_hint` is not needed, so not read."""
        form = await read_form(request)
        credentials = presented_credentials(request, form)
        request.notes["client_id"] = credentials.client_id
        await self._revoker.revoke(credentials, form.require("token"))
        return _DONE
