"""Where a token may stand in a request (RFC 6750 §2)."""

from __future__ import annotations

import time
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.resource_server import InvalidToken, MalformedRequest, MissingToken, bearer_token
from authserver.resource_server.bearer import is_form


@pytest.mark.parametrize("value", ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c", "Bearer a.b.c  "])
def test_the_header(value: str) -> None:
    """RFC 9110 §11.1: the scheme in any case, with spaces around the token."""
    assert bearer_token([value]) == bearer_token(value) == "a.b.c"


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Basic Zm9vOmJhcg==", "Bearera.b.c", "Bearer\ta", "Token x"]
)
def test_no_token(value: str) -> None:
    """RFC 6750 §3.1: another scheme or none is a missing token."""
    with pytest.raises(MissingToken):
        bearer_token([value])
    nothing: list[str] | None
    for nothing in ([], None):
        with pytest.raises(MissingToken):
            bearer_token(nothing)


@pytest.mark.parametrize("token", ["a b", "a,Bearer b", 'a"', "é", "a\tb", "a\n", "\x00", "=", "a=b", "\ud800", "a;b"])
def test_what_is_no_token(token: str) -> None:
    """RFC 6750 §2.1: characters outside b64token are an invalid token."""
    with pytest.raises(InvalidToken):
        bearer_token([f"Bearer {token}"])


@pytest.mark.parametrize(
    "encoded",
    [
        *("access_token=x", "access_token=", "access_token", "a=b&access_token=x", "&&access_token=x"),
        *("a=b;access_token=x", "access_token;a=b"),
        *("access%5Ftoken=x", "%61ccess_token=x", "access_toke%6E=x", "a=b&%61%63cess_token"),
    ],
)
def test_rs_06_query_and_form(encoded: str) -> None:
    """RS-06: a token in the query or the form is 400 invalid_request, alone or beside one in the header."""
    for header in ([], ["Bearer a.b.c"], ["Basic x"]):
        with pytest.raises(MalformedRequest):
            bearer_token(header, query=encoded)
        with pytest.raises(MalformedRequest):
            bearer_token(header, form=encoded)


def test_rs_06_two_headers() -> None:
    """RS-06: more than one Authorization header is 400, also when they are the same."""
    for second in ("Bearer a.b.c", "Basic x", ""):
        with pytest.raises(MalformedRequest):
            bearer_token(["Bearer a.b.c", second])


@pytest.mark.parametrize("encoded", ["", "a=access_token", "access_tokens=x", "Access_Token=x", "a=%61", "%", "%zz=%"])
def test_rs_06_other_parameters(encoded: str) -> None:
    """RS-06: a parameter that only looks like it is none."""
    assert bearer_token(["Bearer a.b.c"], query=encoded, form=encoded) == "a.b.c"


@pytest.mark.parametrize(
    ("method", "content_type", "expected"),
    [
        *[(method, b"application/x-www-form-urlencoded", True) for method in ("POST", "PUT", "PATCH", "DELETE")],
        *[(method, b"application/x-www-form-urlencoded", False) for method in ("GET", "HEAD", None)],
        ("POST", b"APPLICATION/X-WWW-Form-Urlencoded; charset=utf-8", True),
        *[("POST", other, False) for other in (b"", b"text/plain", b"multipart/form-data; boundary=a")],
    ],
)
def test_rs_06_what_is_a_form(method: str | None, content_type: bytes, *, expected: bool) -> None:
    """RS-06: RFC 6750 §2.2 knows a token in the body of a form, with a method whose body means something."""
    assert is_form(method, [(b"host", b"a"), (b"content-type", content_type)]) is expected
    assert is_form(method, content_type.decode()) is expected
    assert not is_form(method, [])


#: The name with each of its letters as it is or escaped, and what can stand around it or only looks like it.
SPELLINGS = st.tuples(
    *(st.sampled_from([letter, f"%{ord(letter):02x}", f"%{ord(letter):02X}"]) for letter in "access_token")
).map("".join)
PIECES = st.sampled_from(
    ["&", "=", "+", "%", "%2", "%26", "%3d", "%20", "%C3%A9", "a", "%41", "é", "\n", "\0", "access_"]
)


@given(st.lists(SPELLINGS | PIECES, max_size=8).map("".join))
def test_rs_06_any_spelling(encoded: str) -> None:
    """RS-06: refused is what a parser of forms would call by the name of the parameter, and nothing else."""
    names = [unquote_plus(pair.partition("=")[0]) for pair in encoded.split("&")]
    try:
        bearer_token(["Bearer a.b.c"], query=encoded)
    except MalformedRequest:
        assert "access_token" in names
    else:
        assert "access_token" not in names


@pytest.mark.parametrize("part", ["%41&", "&&&&", "&a%61", "access_token", "&access_toke", "&%61ccess%5Ftoken%", "%"])
def test_rs_06_a_long_form_is_cheap(part: str) -> None:
    """RS-06: a form of 64 KB must not hold up an event loop, whatever is in it: ten take no 100 ms of this thread."""
    form = part * (64 * 1024 // len(part))
    started = time.thread_time()
    for _ in range(10):
        bearer_token(["Bearer a.b.c"], form=form)
    assert time.thread_time() - started < 0.1
