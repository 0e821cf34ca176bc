"""What a caller imports to get access tokens by client credentials, keep them and renew them (RFC 6749 §4.4).

`ClientCredentials` is an auth of `httpx2`, sync and async, and of `requests`; docs/token-client.md shows it.
`schedule`, `answer` and `request` decide on values alone; `keeper` has the lock, `fetch` and `exchange` the network.
"""

from authserver.token_client.access_token import Token
from authserver.token_client.credentials import ClientCredentials
from authserver.token_client.errors import OriginNotAllowed, TokenError, TokenRefused, TokenUnavailable

__all__ = ["ClientCredentials", "OriginNotAllowed", "Token", "TokenError", "TokenRefused", "TokenUnavailable"]
