"""The token in a request of `requests`, and a second try on a 401 (RFC 6750 §3.1)."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import requests

from authserver.token_client.access_token import Token
from authserver.token_client.keeper import Keeper
from authserver.token_client.origin import Origins


def attach(request: requests.PreparedRequest, *, keeper: Keeper, origins: Origins) -> requests.PreparedRequest:
    """Put the token into the request, and see to a 401; raise OriginNotAllowed or what the keeper raises."""
    origins.require(request.url or "")
    token = keeper.token()
    request.headers["Authorization"] = token.header
    request.hooks["response"].append(_SecondTry(keeper, origins, token, _rewind(request.body)))
    return request


class _SecondTry:
    """Repeats a request whose first token was refused, once. Called for every answer, redirects included."""

    def __init__(self, keeper: Keeper, origins: Origins, token: Token, rewind: Callable[[], bool]) -> None:
        """Watch for a 401 to `token`; `rewind` makes the body ready for a second time, or tells that it cannot."""
        self._keeper = keeper
        self._origins = origins
        self._token = token
        self._rewind = rewind

    def __call__(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        """Return the answer, or that to the second try."""
        refused = response.request
        sent = refused.headers.get("Authorization")  # none any more after a redirect elsewhere
        if (
            response.status_code != HTTPStatus.UNAUTHORIZED
            or sent != self._token.header
            or not self._origins.allow(refused.url or "")
        ):
            return response
        if not self._rewind():
            self._keeper.replace(self._token)
            return response
        successor = self._keeper.successor(self._token)
        if successor is None:
            return response
        refused.headers["Authorization"] = successor.header  # a redirect after this goes on with it
        return _repeat(response, kwargs)


def _repeat(response: requests.Response, kwargs: dict[str, Any]) -> requests.Response:
    """Send the request of a response again, on the same connection, as requests' own HTTPDigestAuth does."""
    _ = response.content  # read to its end, the connection can be used again
    response.close()
    again = response.request.copy()
    second = response.connection.send(again, **kwargs)
    second.history.append(response)
    second.request = again
    return second


def _rewind(body: Any) -> Callable[[], bool]:
    """Return what takes a body back to where it is now, and tells whether that worked."""
    if body is None or isinstance(body, str | bytes):
        return lambda: True
    try:
        position = body.tell()
    except (AttributeError, OSError):
        return lambda: False

    def seek() -> bool:
        try:
            body.seek(position)
        except (AttributeError, OSError, ValueError):
            return False
        return True

    return seek
