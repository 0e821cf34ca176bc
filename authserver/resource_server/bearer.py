"""The access token of a request (RFC 6750 §2.1): in one Authorization header, and nowhere else."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence

from authserver.resource_server.errors import InvalidToken, MalformedRequest, MissingToken

#: How much of a form is searched for a token that must not be there.
MAX_FORM_BYTES = 64 * 1024

_FORM = "application/x-www-form-urlencoded"
_FORM_BYTES = _FORM.encode()

#: What has no body that would mean anything (RFC 9110 §9.3.1, §9.3.2): GET, HEAD, and a WebSocket, without a method.
_BODILESS = frozenset({"GET", "HEAD", None})

#: The characters of b64token (RFC 6750 §2.1), which every JWT is, but for the "=" at its end.
_TOKEN_BYTES = (string.ascii_letters + string.digits + "-._~+/").encode()


def _spelling(letter: str) -> str:
    """Return a pattern for a letter as it is or escaped, whose hexadecimal digits may be of either case."""
    return f"(?:{letter}|(?i:%{ord(letter):02x}))"


#: The name of a parameter, whole, however it is escaped; some services split at ";" too. No two ways to match, so the
#: time is linear.
_NAMES_TOKEN = re.compile(rf"(?<![^&;]){''.join(map(_spelling, 'access_token'))}(?![^=&;])")


def bearer_token(authorization: str | Sequence[str] | None, *, query: str = "", form: str = "") -> str:
    """Return the token in the Authorization header: its value, or all of them, or None where there is none.

    `query` and `form` are the raw query string and the raw urlencoded body, as far as the service has them: a token
    there is refused, whether there is a second one in the header or not (RFC 6750 §2, RFC 9700 §4.3.2). Raises
    MissingToken, MalformedRequest or InvalidToken.
    """
    values = [authorization] if isinstance(authorization, str) else authorization or ()
    if len(values) > 1:
        raise MalformedRequest("more than one Authorization header")
    if query:
        refuse_token_in(query)
    if form:
        refuse_token_in(form)
    if not values:
        raise MissingToken("no Authorization header")
    scheme, _, token = values[0].partition(" ")
    if scheme.lower() != "bearer":
        raise MissingToken("the Authorization header is of another scheme")
    token = token.strip(" ")
    if not token:
        raise MissingToken("the Authorization header holds no token")
    if not is_token_text(token):
        raise InvalidToken("the Authorization header holds characters that no token has")
    return token


def refuse_token_in(encoded: str) -> None:
    """Raise MalformedRequest if a raw query string, or a raw urlencoded body, holds an access token (RFC 6750 §2)."""
    if _NAMES_TOKEN.search(encoded):
        raise MalformedRequest("an access token in the query or the form")


def is_form(method: str | None, content_type: str | Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether the body of a request is a urlencoded form (RFC 6750 §2.2).

    `content_type` is that header, "" where there is none; or all headers, as ASGI has them.
    """
    if method in _BODILESS:
        return False
    if isinstance(content_type, str):
        return content_type.lower().startswith(_FORM)
    return any(name == b"content-type" and value.lower().startswith(_FORM_BYTES) for name, value in content_type)


def is_token_text(text: str) -> bool:
    """Tell whether a text could be a token at all (RFC 6750 §2.1, b64token)."""
    unpadded = text.rstrip("=")
    # To delete what is allowed and look for a rest takes a third of the time of a regular expression.
    return unpadded != "" and unpadded.isascii() and not unpadded.encode("ascii").translate(None, _TOKEN_BYTES)
