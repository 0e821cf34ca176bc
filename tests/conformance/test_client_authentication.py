"""Client authentication with secrets, as presented (RFC 6749 §2.3): section AUTH of the catalogue, rows 01 to 13."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus

import pytest

from tests.conformance.expectations import (
    assert_not_logged,
    assert_refused,
    assert_unauthenticated,
    fingerprint,
    send_raw,
)
from tests.server import FORM, Response, RunningServer, basic, credentials

PATH = "/oauth2/token"
GRANT = "grant_type=client_credentials"
POST_METHOD = "client_secret_post"
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjMiJ9."
ASSERTION_TYPE = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
ODD_ID = "a b+c%20:é%"
ODD_SECRET = "s e+c%72:ré-%zz-0123456789"


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[dict[str, Any]]:
    """Return a client that authenticates by Basic; its secret must be in no log in the end."""
    created = server.create_client()
    yield created
    assert_not_logged(server, created["client_secret"], basic(*credentials(created)).removeprefix("Basic "))


@pytest.fixture(scope="module")
def poster(server: RunningServer) -> dict[str, Any]:
    """Return a client that authenticates in the body."""
    return server.create_client(token_endpoint_auth_method=POST_METHOD)


@pytest.fixture(scope="module")
def odd(server: RunningServer) -> dict[str, Any]:
    """Return an imported client whose id and secret need encoding."""
    return server.create_client(client_id=ODD_ID, client_secret=ODD_SECRET)


def _with_header(server: RunningServer, value: str | bytes, more: str = "") -> Response:
    """Ask for a token with this Authorization header, byte for byte."""
    raw = value if isinstance(value, bytes) else value.encode("latin-1")
    body = (GRANT + more).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: as.example\r\nContent-Type: {FORM}\r\nContent-Length: {len(body)}\r\n"
    return send_raw(server, head.encode() + b"Authorization: " + raw + b"\r\n\r\n" + body)


def _basic(pair: str | bytes) -> str:
    return "Basic " + base64.b64encode(pair if isinstance(pair, bytes) else pair.encode()).decode()


def test_header_and_body_at_once_are_refused(server: RunningServer, client: Mapping[str, Any]) -> None:
    """AUTH-01: two methods in one request are refused, also when both are right (RFC 6749 §2.3)."""
    client_id, secret = credentials(client)
    both = f"{GRANT}&client_id={client_id}&client_secret={secret}"
    assert_refused(server.form(PATH, both, (client_id, secret)), 400, "invalid_request", secret)
    only_secret = f"{GRANT}&client_secret={secret}"
    assert_refused(server.form(PATH, only_secret, (client_id, secret)), 400, "invalid_request", secret)


def test_two_authorization_headers_are_refused(server: RunningServer, client: Mapping[str, Any]) -> None:
    """AUTH-01: the header twice is two methods too."""
    header = _basic(":".join(credentials(client))).encode()
    assert_refused(_with_header(server, header + b"\r\nAuthorization: " + header), 400, "invalid_request")
    assert_refused(_with_header(server, header + b"\r\nAuthorization: Bearer x"), 400, "invalid_request")


@pytest.mark.parametrize(
    "more",
    [
        f"&client_assertion_type={ASSERTION_TYPE}&client_assertion={JWT}",
        f"&client_assertion={JWT}",
        f"&client_assertion_type={ASSERTION_TYPE}",
    ],
)
def test_a_secret_and_an_assertion_are_refused(server: RunningServer, client: Mapping[str, Any], more: str) -> None:
    """AUTH-02: a client assertion beside a secret is a second method, whoever it speaks for."""
    assert_refused(server.form(PATH, GRANT + more, credentials(client)), 400, "invalid_request", JWT)


def test_an_assertion_alone_authenticates_nobody(server: RunningServer, poster: Mapping[str, Any]) -> None:
    """AUTH-02: assertions are not supported, so one alone is a failed authentication."""
    body = f"{GRANT}&client_id={poster['client_id']}&client_assertion_type={ASSERTION_TYPE}&client_assertion={JWT}"
    assert_refused(server.form(PATH, body), 401, "invalid_client", JWT)
    with_secret = f"{body}&client_secret={poster['client_secret']}"
    assert_refused(server.form(PATH, with_secret), 400, "invalid_request", JWT)


def test_a_client_id_in_the_body_must_agree(
    server: RunningServer, client: Mapping[str, Any], poster: Mapping[str, Any]
) -> None:
    """AUTH-03: `client_id` beside Basic must be the same one."""
    for other in (poster["client_id"], "nobody", client["client_id"] + "+"):
        response = server.form(PATH, f"{GRANT}&client_id={other}", credentials(client))
        assert_refused(response, 400, "invalid_request", other)
    assert server.form(PATH, f"{GRANT}&client_id={client['client_id']}", credentials(client)).status == 200
    assert server.form(PATH, f"{GRANT}&client_id=", credentials(client)).status == 200


def test_only_the_registered_method_works(
    server: RunningServer, client: Mapping[str, Any], poster: Mapping[str, Any]
) -> None:
    """AUTH-04: the right secret by the other method is refused as a wrong one is (RFC 7591 §2)."""
    client_id, secret = credentials(client)
    body = f"{GRANT}&client_id={client_id}&client_secret="
    refused = server.form(PATH, body + secret)
    assert_unauthenticated(refused, secret, challenge=False)
    assert fingerprint(refused) == fingerprint(server.form(PATH, body + "wrong"))
    assert_unauthenticated(server.form(PATH, GRANT, credentials(poster)), poster["client_secret"])
    body = f"{GRANT}&client_id={poster['client_id']}&client_secret={poster['client_secret']}"
    assert server.form(PATH, body).status == 200


@pytest.mark.parametrize(
    "header",
    [
        b"Basic",
        b"Basic \xa0",
        b"basic",
        b"",
        b"Basic =",
        b"Bearer x",
        b"Digest username=c1",
        b"Negotiate",
        b"Basic\x0bYzE6czE=",
        b"Basic: YzE6czE=",
        b"Basic YzE6czE=, Basic YzE6czE=",
        b"\xff\xfe",
    ],
)
def test_an_unreadable_header_is_a_failed_authentication(server: RunningServer, header: bytes) -> None:
    """AUTH-06: whatever else the header says, the answer is 401, never a 500."""
    response = _with_header(server, header)
    if b"\x0b" in header:
        assert response.status in {400, 401}  # the parser may refuse a control character
    else:
        assert_unauthenticated(response, "Digest", "Negotiate")


@pytest.mark.parametrize("scheme", ["Basic ", "basic ", "BASIC ", "Basic   "])
def test_the_scheme_has_no_case(server: RunningServer, client: Mapping[str, Any], scheme: str) -> None:
    """AUTH-06: the scheme is compared without case, and spaces may follow it (RFC 9110 §11.1, §11.4)."""
    encoded = _basic(":".join(credentials(client))).removeprefix("Basic ")
    assert _with_header(server, scheme + encoded).status == 200


@pytest.mark.parametrize("junk", ["!!", "\t", " ", "-", "_", "=", "\xa0"])
def test_base64_is_read_strictly(server: RunningServer, client: Mapping[str, Any], junk: str) -> None:
    """AUTH-07: a character that is not of base64 is an error, not something to skip."""
    encoded = _basic(":".join(credentials(client))).removeprefix("Basic ")
    assert_unauthenticated(_with_header(server, f"Basic {encoded[:6]}{junk}{encoded[6:]}"))


def test_padding_must_be_right(server: RunningServer) -> None:
    """AUTH-07: wrong padding is an error, although the same bytes could be read out of it."""
    client = server.create_client(client_id="pad", client_secret="padding-needed-0123456789")
    encoded = _basic(":".join(credentials(client))).removeprefix("Basic ")
    assert encoded.endswith("=")
    assert _with_header(server, f"Basic {encoded}").status == 200
    for wrong in (encoded.rstrip("="), encoded + "=", encoded + "===="):
        assert_unauthenticated(_with_header(server, f"Basic {wrong}"))


@pytest.mark.parametrize(
    "pair", [b"\xff\xfe:\xff", b"%ff:x", b"x:%ff", b"c1:\xed\xa0\x80", b"c1", b":s1", b"c1:", b":", b"", b"\x00:\x00"]
)
def test_a_pair_that_is_none_is_a_failed_authentication(server: RunningServer, pair: bytes) -> None:
    """AUTH-08, AUTH-09: no UTF-8, no colon, no id or no secret: 401."""
    assert_unauthenticated(_with_header(server, _basic(pair)))


def test_an_odd_id_and_secret_authenticate_when_encoded(server: RunningServer, odd: Mapping[str, Any]) -> None:
    """AUTH-10: Basic is form-decoded exactly once: `+` is a space, `%xx` a byte (RFC 6749 §2.3.1, appendix B)."""
    pair = f"{quote_plus(ODD_ID)}:{quote_plus(ODD_SECRET)}"
    assert odd["client_id"] == ODD_ID
    assert _with_header(server, _basic(pair)).status == 200
    percent = pair.replace("+", "%20")
    assert _with_header(server, _basic(percent.lower().replace("%3a", "%3A"))).status == 200
    assert_not_logged(server, ODD_SECRET, quote_plus(ODD_SECRET), percent.partition(":")[2])


@pytest.mark.parametrize(
    "pair",
    [
        f"{quote_plus(quote_plus(ODD_ID))}:{quote_plus(quote_plus(ODD_SECRET))}",
        f"{ODD_ID}:{ODD_SECRET}",
        f"{quote_plus(ODD_ID)}:{ODD_SECRET.replace(' ', '+')}",
        f"{quote_plus(ODD_ID)}:{quote_plus(ODD_SECRET).replace('%2B', '+')}",
    ],
)
def test_other_encodings_do_not(server: RunningServer, odd: Mapping[str, Any], pair: str) -> None:
    """AUTH-10: encoded twice, not at all, or with `+` for itself is another secret."""
    assert_unauthenticated(_with_header(server, _basic(pair)))


def test_an_odd_id_and_secret_authenticate_in_the_body(server: RunningServer) -> None:
    """AUTH-10: in the body the same form encoding is undone once, by the form itself."""
    server.create_client(client_id=ODD_ID + "2", client_secret=ODD_SECRET, token_endpoint_auth_method=POST_METHOD)
    fields = {"grant_type": "client_credentials", "client_id": ODD_ID + "2", "client_secret": ODD_SECRET}
    assert server.form(PATH, fields).status == 200
    twice = {**fields, "client_secret": quote_plus(ODD_SECRET)}
    assert_unauthenticated(server.form(PATH, twice), challenge=False)


def test_an_id_may_hold_a_colon_only_encoded(server: RunningServer) -> None:
    """AUTH-10: the first colon separates; one in the secret needs no encoding, one in the id does."""
    client = server.create_client(client_id="urn:c", client_secret="colon:in:secret-0123")
    assert _with_header(server, _basic("urn%3Ac:colon:in:secret-0123")).status == 200
    assert_unauthenticated(server.form(PATH, GRANT, credentials(client)))


@pytest.mark.parametrize("user", ["%zz", "%", "%c3%28", "a%", "a%2", "%%41", "%u00e9"])
def test_a_broken_escape_is_a_failed_authentication(server: RunningServer, user: str) -> None:
    """AUTH-12: an escape that is none is not guessed at, in id or secret."""
    assert_unauthenticated(_with_header(server, _basic(f"{user}:secret")), user + ":")
    assert_unauthenticated(_with_header(server, _basic(f"client:{user}")))


def test_a_secret_beyond_ascii_is_compared_as_bytes(
    server: RunningServer, client: Mapping[str, Any], poster: Mapping[str, Any]
) -> None:
    """AUTH-13: `é` is just a wrong secret, by either method."""
    for secret in ("é", "%C3%A9", "\N{GRINNING FACE}"):
        assert_unauthenticated(_with_header(server, _basic(f"{client['client_id']}:{secret}")))
    body = f"{GRANT}&client_id={poster['client_id']}&client_secret=%C3%A9"
    assert_unauthenticated(server.form(PATH, body), challenge=False)


def test_a_normal_form_is_another_secret(server: RunningServer) -> None:
    """AUTH-13: composed and decomposed characters are not the same bytes."""
    secret = "caf\N{LATIN SMALL LETTER E WITH ACUTE}-0123456789-abc"
    client = server.create_client(client_secret=secret)
    decomposed = unicodedata.normalize("NFD", secret)
    assert _with_header(server, _basic(f"{client['client_id']}:{quote_plus(secret)}")).status == 200
    assert_unauthenticated(_with_header(server, _basic(f"{client['client_id']}:{quote_plus(decomposed)}")))
