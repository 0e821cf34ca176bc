"""The form of a request (RFC 6749 appendix B): any bytes are a form or an error of the table, never anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import quote, quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.core.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from authserver.wire.form import MAX_FIELDS, Form, parse_form, read_form
from authserver.wire.http import MAX_BODY_BYTES, ClientGone, Request
from tests.server import FORM

NAMES = ["grant_type", "scope", "resource", "client_id", "client_secret", "token", "é"]


def form_of(
    *pieces: bytes,
    types: Iterable[bytes] = (FORM.encode(),),
    query: bytes = b"",
    more: tuple[bytes, bytes] | None = None,
) -> Form:
    """Read a form that arrives in pieces; an empty tuple of pieces is a client that has gone."""
    waiting = [{"type": "http.request", "body": p, "more_body": i + 1 < len(pieces)} for i, p in enumerate(pieces)]

    async def receive() -> MutableMapping[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    headers = [(b"content-type", value) for value in types] + ([more] if more else [])
    return asyncio.run(read_form(Request("POST", headers, query, receive, "127.0.0.1", {})))


@given(body=st.binary(max_size=400))
def test_any_bytes(body: bytes) -> None:
    """TOK-15, U1: any bytes are a form or an invalid request, never another exception."""
    try:
        form = parse_form(body)
    except InvalidRequest:
        return
    assert all(isinstance(value, str) and value for value in form.fields.values())


@given(fields=st.dictionaries(st.sampled_from(NAMES), st.text(min_size=1, max_size=30), max_size=5))
def test_what_was_sent_is_what_is_read(fields: dict[str, str]) -> None:
    """RFC 6749 appendix B: a form in UTF-8 comes back value by value, `+` and `%20` both a space."""
    try:
        for space in ("%20", "+"):
            body = "&".join(f"{quote(n, safe='')}={quote(v, safe='').replace('%20', space)}" for n, v in fields.items())
            form = parse_form(body.encode("ascii"))
            resources = [value for name, value in fields.items() if name == "resource"]
            assert dict(form.fields) == {name: value for name, value in fields.items() if name != "resource"}
            assert list(form.resources) == resources
    except UnicodeEncodeError:  # half a character, which no client can send
        assert any(not text.isprintable() for text in fields.values())


@given(value=st.binary(min_size=1, max_size=20), name=st.sampled_from(NAMES))
def test_bytes_that_are_no_text(value: bytes, name: str) -> None:
    """TOK-15: two different values are never read as the same; what is not UTF-8 is refused, or kept apart."""
    body = f"{quote(name)}={quote_from_bytes(value, safe='')}".encode()
    try:
        form = parse_form(body)
    except InvalidRequest:
        with pytest.raises(UnicodeDecodeError):
            value.decode()
        return
    (read,) = [*form.fields.values(), *form.resources]
    assert read.encode("utf-8", "surrogateescape") == value
    assert "\ufffd" not in read or "\ufffd".encode() in value


@pytest.mark.parametrize("name", ["grant_type", "scope", "client_id", "client_secret", "token", "unknown", ""])
def test_repeated_parameters(name: str) -> None:
    """TOK-01, TOK-02: any parameter twice is refused, empty or equal or not; only `resource` may be repeated."""
    for second in ("a", "b", ""):
        with pytest.raises(InvalidRequest):
            parse_form(f"{name}=a&x=y&{name}={second}".encode())
    assert parse_form(b"resource=a&resource=b&resource=a").resources == ("a", "b", "a")


def test_empty_is_omitted() -> None:
    """TOK-06: a parameter without a value counts as omitted, and `require` says so."""
    form = parse_form(b"grant_type=&scope&token=%20")
    assert (form.get("grant_type"), form.get("scope"), form.get("token")) == (None, None, " ")
    with pytest.raises(InvalidRequest):
        form.require("grant_type")


def test_semicolon_is_no_separator() -> None:
    """TOK-28: a semicolon belongs to the value."""
    assert parse_form(b"grant_type=a;scope=b").fields == {"grant_type": "a;scope=b"}


def test_number_of_fields() -> None:
    """TOK-18: 64 fields are read, 65 are not."""
    pairs = [f"f{number}=x" for number in range(MAX_FIELDS + 1)]
    assert len(parse_form("&".join(pairs[:-1]).encode()).fields) == MAX_FIELDS
    with pytest.raises(InvalidRequest):
        parse_form("&".join(pairs).encode())


@pytest.mark.parametrize(
    "content_type",
    [FORM, FORM.upper(), f"{FORM};charset=utf-8", f'{FORM}; charset="UTF-8"', f"{FORM} ; charset=UTF-8"],
)
def test_good_types(content_type: str) -> None:
    """TOK-13: the media type in any case, alone or in UTF-8."""
    assert form_of(b"a=b", types=[content_type.encode()]).get("a") == "b"


@pytest.mark.parametrize(
    "types",
    [
        [],
        [b""],
        [b"application/json"],
        [b"multipart/form-data; boundary=x"],
        [f"{FORM}; charset=utf-16".encode()],
        [f"{FORM}; charset=latin-1".encode()],
        [f"{FORM}, application/json".encode()],
        [FORM.encode(), b"application/json"],
        [FORM.encode(), FORM.encode()],
        [b"\xff\xfe"],
    ],
)
def test_other_types(types: list[bytes]) -> None:
    """TOK-10, TOK-12, TOK-13, TOK-14: another type, another charset or two types are refused, the body unread."""
    with pytest.raises(InvalidRequest):
        form_of(types=types)


def test_query() -> None:
    """TOK-03, TOK-04: parameters in the URL are refused before the body is read."""
    with pytest.raises(InvalidRequest):
        form_of(query=b"scope=admin")


@pytest.mark.parametrize("pieces", [1, 7])
def test_size(pieces: int) -> None:
    """TOK-18: 64 KB are read in however many pieces, one byte more is not, announced or sent."""
    full = b"a=" + b"x" * (MAX_BODY_BYTES - 2)
    step = len(full) // pieces + 1
    parts = [full[start : start + step] for start in range(0, len(full), step)]
    assert len(form_of(*parts).require("a")) == MAX_BODY_BYTES - 2
    with pytest.raises(PayloadTooLarge):
        form_of(*parts, b"x")


@pytest.mark.parametrize("length", [b"65537", b"9" * 5000, b"-1", b"", b"\xb2", b"1e3"])
def test_announced_size(length: bytes) -> None:
    """TOK-18: a length over the cap, or that is no number, is refused before the body is read."""
    with pytest.raises(PayloadTooLarge):
        form_of(more=(b"content-length", length))


def test_coding_and_leaving() -> None:
    """HTTP-08, HTTP-09: a content coding is not read; a client that leaves in the middle ends the matter."""
    with pytest.raises(UnsupportedMediaType):
        form_of(b"a=b", more=(b"content-encoding", b"gzip"))
    with pytest.raises(ClientGone):
        form_of()
