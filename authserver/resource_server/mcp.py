"""For servers of the Model Context Protocol: a token verifier for its Python SDK.

    server = MCPServer(…, auth=AuthSettings(…), token_verifier=AccessTokenVerifier(verifier))
    app = server.streamable_http_app()
    app.add_middleware(ResourceServer, verifier=verifier)

`resource_server_url` is the identifier of the resource, and `validate_token_resource` may be True. The middleware of
`asgi.py` starts and ends the verifier, and answers 503 for a token that cannot be checked at the moment, for which
the SDK has no answer of its own: so it has to be added to `app` itself. Where `app` is mounted, its parent needs one
beside it, which starts the verifier and describes the resource; alone it would leave that token a 500.
"""

from __future__ import annotations

from mcp.server.auth.provider import AccessToken, TokenVerifier

from authserver.resource_server.errors import CannotVerify, Refusal
from authserver.resource_server.verifier import Verifier


class AccessTokenVerifier(TokenVerifier):
    """Checks the bearer tokens of MCP clients. `required_scopes` of the SDK count included scopes as granted."""

    def __init__(self, verifier: Verifier) -> None:
        """Ask `verifier`."""
        self._verifier = verifier

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what the SDK wants to know of a good token, None for any other; raise CannotVerify."""
        try:
            verified = await self._verifier.verify(token)
        except CannotVerify:
            raise
        except Refusal:
            return None
        config = self._verifier.config
        return AccessToken(
            token=token,
            client_id=verified.client_id,
            scopes=sorted(verified.scopes),
            expires_at=verified.expires_at or None,
            resource=config.audience if config else None,
            subject=verified.subject,
            claims=dict(verified.claims),
        )
