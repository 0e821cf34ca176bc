"""Presented credentials (RFC 6749 §2.3): whatever stands in header and form, one set of credentials or an error."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.core.client import AuthMethod
from authserver.core.credentials import Credentials
from authserver.core.errors import InvalidClient, InvalidRequest
from authserver.core.secret import generate_secret
from authserver.wire.credentials import presented_credentials
from authserver.wire.form import parse_form
from authserver.wire.http import Request

BASIC = AuthMethod.CLIENT_SECRET_BASIC
POST = AuthMethod.CLIENT_SECRET_POST


def request_with(*authorizations: bytes) -> Request:
    """Return a request with these Authorization headers."""

    async def receive() -> dict[str, object]:
        raise AssertionError("the body is not read here")

    headers = [(b"authorization", value) for value in authorizations]
    return Request("POST", headers, b"", receive, "127.0.0.1", {})


def presented(*authorizations: bytes, **fields: str) -> Credentials:
    """Return what a request presents."""
    return presented_credentials(request_with(*authorizations), parse_form(urlencode(fields).encode()))


def header(pair: bytes | str) -> bytes:
    """Return a Basic header for the pair as it stands."""
    return b"Basic " + base64.b64encode(pair if isinstance(pair, bytes) else pair.encode())


@given(authorization=st.binary(max_size=60) | st.binary(max_size=60).map(header), body=st.binary())
def test_any_header_and_form(authorization: bytes, body: bytes) -> None:
    """AUTH-06 to AUTH-13, U1: any bytes are credentials, or one of two errors; never another exception."""
    try:
        form = parse_form(body)
    except InvalidRequest:
        form = parse_form(b"")
    try:
        credentials = presented_credentials(request_with(authorization), form)
    except (InvalidClient, InvalidRequest):
        return
    assert credentials.client_id
    assert credentials.client_secret


texts = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" +%:é"), min_size=1, max_size=20)


@given(client_id=texts, secret=texts)
def test_form_encoded_basic(client_id: str, secret: str) -> None:
    """AUTH-10: id and secret are form-decoded exactly once: any text comes back, with `+` or `%20` for a space."""
    for encode in (quote_plus, lambda text: quote(text, safe="")):
        pair = f"{encode(client_id)}:{encode(secret)}"
        assert presented(header(pair)) == Credentials(BASIC, client_id, secret)


@given(client_id=texts, secret=texts)
def test_in_the_body(client_id: str, secret: str) -> None:
    """AUTH-13: the same texts in the body come back as they are."""
    assert presented(client_id=client_id, client_secret=secret) == Credentials(POST, client_id, secret)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("c1:s1", ("c1", "s1")),
        ("c1:s1:more", ("c1", "s1:more")),
        ("c%31:s%3A1", ("c1", "s:1")),
        ("a+b:c+d", ("a b", "c d")),
        ("a%2Bb:c%252Bd", ("a+b", "c%2Bd")),
        ("é:ü", ("é", "ü")),
    ],
)
def test_decoded_once(pair: str, expected: tuple[str, str]) -> None:
    """AUTH-10: one decoding, the first colon separates, and clients that do not encode are understood where clear."""
    credentials = presented(header(pair))
    assert (credentials.client_id, credentials.client_secret) == expected


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic \xa0",
        b"Basic Yz!!pz",
        b"Basic YzE6czE",
        b"Basic YzE6czE==",
        b"Basic YzE 6czE=",
        b"Basic YzE6czE=, Basic YzE6czE=",
        b"Bearer YzE6czE=",
        b"Basi YzE6czE=",
        b"YzE6czE=",
        header(b"\xff\xfe:\xff"),
        header(b"c1"),
        header(b":s1"),
        header(b"c1:"),
        header(b":"),
        header(b"%zz:s"),
        header(b"%:s"),
        header(b"%c3%28:s"),
        header(b"c1:%"),
        header(b"a%00b:s"),
        header(b"a\nb:s"),
        header("a\u202eb:s"),
        header(b"c" * 256 + b":s"),
        header(b"c1:" + b"s" * 1025),
        header(quote("é" * 128) + ":s"),
    ],
)
def test_unreadable_basic(authorization: bytes) -> None:
    """AUTH-06 to AUTH-09, AUTH-12, AUTH-16, AUTH-22: what cannot be read as one id and one secret is 401."""
    with pytest.raises(InvalidClient):
        presented(authorization)


@pytest.mark.parametrize("scheme", [b"Basic", b"basic", b"BASIC", b"Basic  "])
def test_scheme_in_any_case(scheme: bytes) -> None:
    """RFC 9110 §11.1: the scheme is case-insensitive, one or more spaces follow it."""
    assert presented(scheme + b" YzE6czE=") == Credentials(BASIC, "c1", "s1")


@pytest.mark.parametrize(
    "fields",
    [
        {"client_id": "c1", "client_secret": "s1"},
        {"client_secret": "s1"},
        {"client_id": "c2"},
        {"client_assertion": "x"},
        {"client_assertion_type": "x"},
    ],
)
def test_two_mechanisms(fields: dict[str, str]) -> None:
    """AUTH-01 to AUTH-03: Basic with anything else that names or proves a client is a malformed request."""
    with pytest.raises(InvalidRequest):
        presented(header("c1:s1"), **fields)


def test_the_same_id_twice() -> None:
    """AUTH-03: `client_id` in the body beside Basic may repeat the id; two Authorization headers are refused."""
    assert presented(header("c1:s1"), client_id="c1").client_id == "c1"
    with pytest.raises(InvalidRequest):
        presented(header("c1:s1"), header("c1:s1"))


def test_assertions() -> None:
    """AUTH-02: an assertion is no authentication here, and beside a secret a malformed request."""
    with pytest.raises(InvalidClient):
        presented(client_assertion="x", client_assertion_type="y", client_id="c")
    with pytest.raises(InvalidRequest):
        presented(client_assertion="x", client_id="c", client_secret="s")


@pytest.mark.parametrize("fields", [{}, {"client_id": "c"}, {"client_secret": "s"}, {"client_id": "", "x": "y"}])
def test_nothing_presented(fields: dict[str, str]) -> None:
    """REV-01, INT-01: a request without an id and a secret is 401."""
    with pytest.raises(InvalidClient):
        presented(**fields)


def test_challenge() -> None:
    """AUTH-14: only who sent no secret in the body is told of the Basic scheme."""
    for body, challenged in ((b"client_id=c&client_secret=" + b"s" * 2000, False), (b"client_id=c", True)):
        request = request_with()
        with pytest.raises(InvalidClient):
            presented_credentials(request, parse_form(body))
        assert request.challenge == challenged


def test_secret_in_place_of_the_id() -> None:
    """LOG-02: a secret of ours where the id belongs is refused before it could be logged as an id."""
    for prefix in ("a", "secret", "admin"):
        secret = generate_secret(prefix)
        for arguments in ((header(f"{secret}:x"),), ()):
            fields = {} if arguments else {"client_id": secret, "client_secret": "x"}
            with pytest.raises(InvalidClient) as refused:
                presented(*arguments, **fields)
            assert secret not in str(refused.value)
