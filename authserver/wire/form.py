"""The body of a token, introspection or revocation request (RFC 6749 §3.2 and appendix B), read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from authserver.core.errors import InvalidRequest
from authserver.wire.http import Request

MAX_FIELDS = 64

_MEDIA_TYPE = "application/x-www-form-urlencoded"
_MEDIA_TYPE_BYTES = _MEDIA_TYPE.encode()
_CREDENTIAL_FIELDS = frozenset({"client_id", "client_secret"})
_FORM_TYPES = frozenset({_MEDIA_TYPE, f"{_MEDIA_TYPE};charset=utf-8"})


@dataclass(frozen=True, slots=True)
class Form:
    """The parameters of one request. Each occurs once; an empty one counts as omitted (RFC 6749 §3.2).

    `resources` holds the values of `resource`, which alone may be repeated (RFC 8707 §2).
    """

    fields: Mapping[str, str] = field(repr=False)
    resources: tuple[str, ...] = ()

    def get(self, name: str) -> str | None:
        """Return a parameter, None when it is omitted or empty."""
        return self.fields.get(name)

    def require(self, name: str) -> str:
        """Return a parameter; raise InvalidRequest when it is omitted or empty."""
        value = self.fields.get(name)
        if value is None:
            raise InvalidRequest(f"{name} is missing")
        return value


async def read_form(request: Request) -> Form:
    """Read and parse the body; raise InvalidRequest, PayloadTooLarge or UnsupportedMediaType."""
    request.refuse_query()
    _check_type(request.header_values(b"content-type"))
    return parse_form(await request.body())


def parse_form(body: bytes) -> Form:
    """Parse an urlencoded body strictly: UTF-8, at most 64 fields, nothing twice but `resource`."""
    pairs = _pairs(body)
    fields: dict[str, str] = {}
    resources: list[str] = []
    seen: set[str] = set()
    for name, value in pairs:
        if name == "resource":
            resources += [value] if value else []
        elif name in seen:
            raise InvalidRequest("a parameter is repeated")
        elif value:
            fields[name] = value
        seen.add(name)
    return Form(fields, tuple(resources))


def _pairs(body: bytes) -> list[tuple[str, str]]:
    """Split the body (RFC 6749 appendix B); escapes are undone only where there are any."""
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidRequest("the body is no ASCII form") from None
    parts = [part.partition("=") for part in text.split("&") if part]
    if len(parts) > MAX_FIELDS:
        raise InvalidRequest("the form has too many fields")
    if "%" in text or "+" in text:
        return [_unescaped(name, value) for name, _, value in parts]
    return [(name, value) for name, _, value in parts]


def _unescaped(name: str, value: str) -> tuple[str, str]:
    """Undo the escapes; refuse what is not UTF-8. Credentials stay, as bytes that match nothing: a 401, not a 400."""
    name, value = unquote_plus(name, errors="surrogateescape"), unquote_plus(value, errors="surrogateescape")
    if not name.isascii() or not (value.isascii() or name in _CREDENTIAL_FIELDS):
        try:
            (name + value).encode()
        except UnicodeEncodeError:
            raise InvalidRequest("a parameter is not UTF-8") from None
    return name, value


def _check_type(values: list[bytes]) -> None:
    if len(values) != 1:
        raise InvalidRequest("there must be exactly one Content-Type header")
    if values[0] == _MEDIA_TYPE_BYTES:
        return
    if values[0].decode("latin-1").lower().replace(" ", "").replace('"', "") not in _FORM_TYPES:
        raise InvalidRequest(f"the content type must be {_MEDIA_TYPE} in UTF-8")
