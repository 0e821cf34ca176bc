"""Client credentials as presented (RFC 6749 §2.3): Basic or body, exactly one of them, decoded exactly once."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from authserver.core.client import AuthMethod
from authserver.core.credentials import Credentials
from authserver.core.errors import InvalidClient, InvalidRequest
from authserver.core.secret import MAX_SECRET_BYTES, is_generated
from authserver.wire.form import Form
from authserver.wire.http import Request

MAX_CLIENT_ID_BYTES = 255

_SHORTEST_SECRET = 51  # spares the ids that we make, which are shorter, a closer look

_SCHEME = b"basic "
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PLAIN = re.compile(rb"[A-Za-z0-9_.~-]+:[A-Za-z0-9_.~-]+")


def presented_credentials(request: Request, form: Form) -> Credentials:
    """Return the one set of credentials in the request.

    Raises InvalidRequest when two mechanisms are used at once (RFC 6749 §2.3), InvalidClient when there is
    none or it cannot be read. Lengths are checked here, before a database or a hash sees the values.
    """
    headers = request.header_values(b"authorization")
    if len(headers) > 1:
        raise InvalidRequest("more than one Authorization header")
    in_body = form.get("client_secret") is not None
    asserted = form.get("client_assertion") is not None or form.get("client_assertion_type") is not None
    if len(headers) + in_body + asserted > 1:
        raise InvalidRequest("more than one client authentication method")
    if asserted:
        raise InvalidClient("client assertions are not supported")
    if headers:
        credentials = _from_basic(headers[0])
        if form.get("client_id") not in {None, credentials.client_id}:
            raise InvalidRequest("client_id differs from the one authenticated")
        return credentials
    request.challenge = not in_body
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if client_id is None or secret is None:
        raise InvalidClient("no client credentials")
    return _checked(AuthMethod.CLIENT_SECRET_POST, client_id, secret)


def _from_basic(header: bytes) -> Credentials:
    if header[: len(_SCHEME)].lower() != _SCHEME:
        raise InvalidClient("the Authorization header is not of the Basic scheme")
    try:
        pair = base64.b64decode(header[len(_SCHEME) :].strip(b" "), validate=True)
    except binascii.Error:
        raise InvalidClient("the Basic credentials are not base64") from None
    user, colon, password = pair.partition(b":")
    if not (colon and user and password):
        raise InvalidClient("the Basic credentials lack an id or a secret")
    if _PLAIN.fullmatch(pair):
        return _checked(AuthMethod.CLIENT_SECRET_BASIC, user.decode("ascii"), password.decode("ascii"))
    return _checked(AuthMethod.CLIENT_SECRET_BASIC, _form_decoded(user), _form_decoded(password))


def _form_decoded(value: bytes) -> str:
    """Undo the form encoding of RFC 6749 appendix B, which precedes base64 (§2.3.1)."""
    if _BROKEN_ESCAPE.search(value):
        raise InvalidClient("the Basic credentials are not form-encoded")
    try:
        return unquote_to_bytes(value.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise InvalidClient("the Basic credentials are not UTF-8") from None


def _checked(method: AuthMethod, client_id: str, secret: str) -> Credentials:
    if not client_id.isprintable() or _utf8_length(client_id) > MAX_CLIENT_ID_BYTES:
        raise InvalidClient("the client id is too long or has characters that no id has")
    if len(client_id) >= _SHORTEST_SECRET and is_generated(client_id):
        raise InvalidClient("a secret stands where the client id belongs")  # before the id could reach a log
    if _utf8_length(secret) > MAX_SECRET_BYTES:
        raise InvalidClient("the client secret is too long")
    return Credentials(method, client_id, secret)


def _utf8_length(text: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidClient("the client credentials are not UTF-8") from None
