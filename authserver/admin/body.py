"""The JSON body of a request (RFC 8259), read strictly: what two readers could read differently is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import NoReturn

from authserver.core.errors import AdminError, InvalidRequest, UnsupportedMediaType, ValidationFailed
from authserver.core.json_value import Json
from authserver.wire.http import Request

MAX_DEPTH = 64

_JSON_TYPES = frozenset({"application/json", "application/json;charset=utf-8"})
_PATCH_TYPES = _JSON_TYPES | {"application/merge-patch+json"}


class MalformedBody(InvalidRequest, AdminError):
    """The body is no JSON; its sender may read why."""


async def read_object(request: Request) -> dict[str, Json]:
    """Return the JSON object of the body, `{}` for an empty one.

    Raises UnsupportedMediaType for any other type, so that no browser form reaches us (ADM-14), PayloadTooLarge,
    MalformedBody for what is no JSON, ValidationFailed for JSON that is no object.
    """
    body = await request.body()
    types = request.header_values(b"content-type")
    if not body and not types:
        return {}
    _check_type(types, _PATCH_TYPES if request.method == "PATCH" else _JSON_TYPES)
    value = parse_json(body) if body else {}
    if not isinstance(value, dict):
        raise ValidationFailed.of("body", "must be a JSON object")
    return value


def parse_json(body: bytes) -> Json:
    """Return the JSON value: UTF-8 without BOM, names once, finite numbers, whole characters, 64 levels at most."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_refuse_constant)
    except RecursionError:
        raise MalformedBody("The body is nested too deep.") from None
    except UnicodeDecodeError:
        raise MalformedBody("The body is not UTF-8.") from None
    except ValueError:  # also a number of more digits than Python converts
        raise MalformedBody("The body is not valid JSON (RFC 8259).") from None
    _check_values(value)
    return value


def _check_type(types: list[bytes], accepted: frozenset[str]) -> None:
    if len(types) != 1:
        raise UnsupportedMediaType("there must be exactly one Content-Type header")
    if types[0].decode("latin-1").lower().replace(" ", "").replace('"', "") not in accepted:
        raise UnsupportedMediaType("the content type is not JSON in UTF-8")


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise MalformedBody("The body names a member twice.")
    return value


def _refuse_constant(_: str) -> NoReturn:
    raise MalformedBody("The body has a number that JSON does not know.")


def _check_values(value: Json) -> None:
    """Look at every value, without recursion."""
    waiting = [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        _check_value(item)
        if isinstance(item, (dict, list)) and depth > MAX_DEPTH:
            raise MalformedBody("The body is nested too deep.")
        waiting.extend((child, depth + 1) for child in _children(item))


def _check_value(value: Json) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise MalformedBody("The body has a number that is too large.")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise MalformedBody("The body has half a character (a lone surrogate).") from None


def _children(value: Json) -> Iterator[Json]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value
