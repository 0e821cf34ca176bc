"""What an answer of the token endpoint means, the strangest ones included (RFC 6749 §5)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.token_client import Token, TokenError, TokenRefused, TokenUnavailable
from authserver.token_client.answer import MAX_TOKEN_CHARACTERS, Answer, token_endpoint_of, token_of

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
GOOD: dict[str, Any] = {"access_token": "abc.def-_~+/=", "token_type": "Bearer", "expires_in": 60}
CANARY = "canary-of-a-secret"


def read(document: Any, status: int = 200, retry_after: str | None = None) -> Token:
    """Return the token of an answer with this JSON body."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    answer = Answer(status, body, NOW, retry_after=retry_after)
    return token_of(answer, asked_at_ms=1000, hidden={CANARY})


@pytest.mark.parametrize(
    ("members", "lifetime_ms"),
    [
        ({}, 60_000),
        ({"expires_in": 0.5}, 500),
        ({"expires_in": 10**400}, 31_536_000_000),
        ({"token_type": "bEARER", "refresh_token": "r", "other": [1]}, 60_000),
    ],
)
def test_a_token_response_is_read(members: dict[str, Any], lifetime_ms: int) -> None:
    """`token_type` in any case, what is not known ignored, a lifetime without end ended (RFC 6749 §5.1, §7.1)."""
    assert read(GOOD | members) == Token("abc.def-_~+/=", 1000, lifetime_ms)


def test_what_may_be_absent_may_be_absent() -> None:
    """Without `expires_in` five minutes count; `scope` is what the server said."""
    assert read({"access_token": "t", "token_type": "bearer"}).lifetime_ms == 300_000
    assert read(GOOD | {"scope": "read"}).scope == "read"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"[" * 60_000,
        b"9" * 5000,
        [],
        "text",
        None,
        {},
        {"error": "invalid_client"},
        *(GOOD | {"access_token": text} for text in [None, "", 7, "a b", "a\r\nX: y", "é", "a,b", "=", "\0"]),
        GOOD | {"access_token": "a" * (MAX_TOKEN_CHARACTERS + 1)},
        *(GOOD | {"token_type": kind} for kind in [None, "", "mac", "DPoP", 1, "Bearer "]),
        GOOD | {"expires_in": None},
        *(GOOD | {"expires_in": seconds} for seconds in (0, -1, True)),
        *(GOOD | {"expires_in": value} for value in ("60", [60])),
        json.dumps(GOOD).replace("60", "NaN").encode(),
        GOOD | {"scope": ["read"]},
    ],
)
def test_what_is_no_token_response_is_an_error(document: Any) -> None:
    """TokenUnavailable, which says what is wrong; nothing that would break a header gets into one."""
    with pytest.raises(TokenUnavailable, match="answer"):
        read(document)


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_an_oauth_error_is_a_refusal(status: int) -> None:
    """With its code, and the description where it is printable (RFC 6749 §5.2)."""
    with pytest.raises(TokenRefused, match=r"invalid_scope \(no such scope\)") as caught:
        read({"error": "invalid_scope", "error_description": "no such scope"}, status)
    assert caught.value.error == "invalid_scope"


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (400, {"error": "temporarily_unavailable"}),
        (500, {"error": "invalid_client"}),
        (429, {"error": "invalid_client"}),
        (408, b""),
        (404, b"<html>"),
        (401, {"error": 7}),
        (400, {"error": "a\nb"}),
        (400, {"error": ""}),
        (302, b""),
        (204, b""),
        (201, GOOD),
    ],
)
def test_other_answers_are_an_outage(status: int, document: Any) -> None:
    """A gateway's page, a server that is busy, a redirect: none of them says that the client is refused."""
    with pytest.raises(TokenUnavailable, match=str(status)):
        read(document, status)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Sat, 31 Jan 2026 12:00:30 GMT", 30),
        ("Sat, 31 Jan 2026 11:00:00 GMT", 0),
        ("Saturday, 31-Jan-26 12:00:30 GMT", 30),
        ("Sat Jan 31 12:00:30 2026", 30),
        ("9" * 13, 9_999_999_999_999),
        *((text, None) for text in [None, "", "-1", "1.5", "soon", "١٢", "Sat, 99 Jan 2026 12:00:30 GMT", "9" * 5_000]),
        ("Fri, 31 Dec 9999 23:59:59 -2300", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: int | None) -> None:
    """Each of the three forms of an HTTP date (RFC 9110 §5.6.7); what is neither is as good as absent."""
    with pytest.raises(TokenUnavailable) as caught:
        read(b"", 503, value)
    assert caught.value.retry_after_seconds == seconds


def test_a_date_is_by_the_clock_of_the_server() -> None:
    """Our own clock may be ten minutes ahead: what counts is how long after its `Date` (RFC 9110 §6.6.1)."""
    dates = {"date": "Sat, 31 Jan 2026 11:50:00 GMT", "retry_after": "Sat, 31 Jan 2026 11:52:00 GMT"}
    with pytest.raises(TokenUnavailable) as caught:
        token_of(Answer(503, b"", NOW, **dates), asked_at_ms=1000, hidden=())
    assert caught.value.retry_after_seconds == 120


@pytest.mark.parametrize("member", ["error", "error_description"])
def test_a_text_that_repeats_the_secret_is_left_out(member: str) -> None:
    """Some servers say what they got."""
    with pytest.raises(TokenError) as caught:
        read({"error": "invalid_client", member: f"wrong secret {CANARY}"}, 401)
    assert CANARY not in f"{caught.value!r} {caught.value} {vars(caught.value)}"


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (404, b""),
        (200, b"<html>"),
        (200, {"issuer": "https://a.example/", "token_endpoint": "https://a.example/t"}),
        (200, {"issuer": "https://A.example", "token_endpoint": "https://a.example/t"}),
        (200, {"token_endpoint": "https://a.example/t"}),
        (200, {"issuer": "https://a.example"}),
        (200, {"issuer": "https://a.example", "token_endpoint": ["https://a.example/t"]}),
    ],
)
def test_metadata_must_be_those_of_the_issuer(status: int, document: Any) -> None:
    """Compared character by character (RFC 8414 §3.3)."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(TokenUnavailable, match="metadata"):
        token_endpoint_of(Answer(status, body, NOW), "https://a.example")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(list(GOOD.values())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from([*GOOD, "scope", "error", "error_description"]) | st.text(max_size=10)
bodies = st.binary(max_size=200) | st.dictionaries(names, values, max_size=6).map(
    lambda d: json.dumps(GOOD | d).encode()
)


@given(st.integers(100, 599), bodies, st.none() | st.text(max_size=40))
def test_fuzz_every_answer_is_a_token_or_one_of_our_errors(status: int, body: bytes, retry_after: str | None) -> None:
    """No other exception; a token can always stand in a header and is hidden from view."""
    outcome: Token | TokenError
    try:
        outcome = token_of(Answer(status, body, NOW, retry_after=retry_after), asked_at_ms=0, hidden={CANARY})
    except TokenError as error:
        outcome = error
    if isinstance(outcome, TokenError):
        assert str(outcome).isprintable()
        assert outcome.retry_after_seconds is None or outcome.retry_after_seconds >= 0
    else:
        assert status == 200
        assert outcome.header.isascii()
        assert outcome.header.isprintable()
        assert 0 < outcome.lifetime_ms <= 31_536_000_000
        assert "access_token" not in repr(outcome)


@given(bodies | st.binary(max_size=50))
def test_fuzz_metadata_are_an_endpoint_or_one_of_our_errors(body: bytes) -> None:
    """No other exception, and no endpoint for an issuer that the document does not name."""
    with pytest.raises(TokenUnavailable):
        token_endpoint_of(Answer(200, body, NOW), "https://a.example")
