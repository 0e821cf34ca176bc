"""JOSE-01 to JOSE-20: texts that claim to be tokens, most of them signed with a good key, at the library's check."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from authserver.core.resource import SigningAlg
from authserver.resource_server.check import TokenCheck, Unreadable
from authserver.resource_server.errors import InvalidToken
from authserver.resource_server.key_set import UnknownKey
from tests.conformance.forge import b64, badly_signed, encode, malleated, unb64
from tests.resource_server.issuer import Issuer

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """One key for all rows."""
    return Issuer()


@pytest.fixture(scope="module")
def check(issuer: Issuer) -> TokenCheck:
    """One check for all rows: a refusal changes nothing."""
    return issuer.check()


def assert_refused(check: TokenCheck, token: str) -> None:
    """Assert a 401 `invalid_token` whose reason repeats nothing of the token."""
    try:
        check.verify(token)
    except (InvalidToken, UnknownKey) as refusal:
        answer, reason = (refusal.status, refusal.error), refusal.reason
    else:
        pytest.fail("it was not refused")
    assert answer == (401, "invalid_token")
    assert not any(len(part) > 8 and part in reason for part in token.split("."))


def test_what_these_tests_sign_is_good_when_unaltered(issuer: Issuer, check: TokenCheck) -> None:
    """The rows below differ from a good token in the one thing that they name."""
    assert check.verify(issuer.mint()).subject == "cl_1"


@pytest.mark.parametrize("alg", list(SigningAlg))
def test_every_algorithm_is_spoken(alg: SigningAlg) -> None:
    """A token of each algorithm is good with its own key, bad with another, and bad with a bit turned."""
    issuer, stranger = Issuer(alg), Issuer(alg)
    check = issuer.check()
    token = issuer.mint()
    assert check.verify(token).kid == issuer.kid
    assert_refused(check, stranger.mint())
    assert_refused(check, badly_signed(token))


@pytest.mark.parametrize("crit", [5, [{}], "alg", [], ["zz"], ["exp"]])
def test_jose_01_critical_headers(issuer: Issuer, check: TokenCheck, crit: Any) -> None:
    """JOSE-01: `crit` of any type and content is refused, even signed by a good key."""
    assert_refused(check, issuer.mint(issuer.header(crit=crit)))
    assert_refused(check, issuer.mint({**issuer.header(), "crit": None}))


def test_jose_02_unencoded_payload(issuer: Issuer, check: TokenCheck) -> None:
    """JOSE-02: `b64: false` is refused, with 200 KB of payload and with little."""
    header = issuer.header(b64=False, crit=["b64"])
    assert_refused(check, issuer.mint(header))
    assert_refused(check, issuer.mint(issuer.header(b64=False)))
    assert_refused(check, f"{encode(header)}.{'x' * 200_000}.AAAA")


@pytest.mark.parametrize("header", [b'"alg"', b'["alg"]', b"5", b"null", b"{}", b"[]", b"", b"\xff\xfe", b"{" * 500])
def test_jose_03_headers_that_are_no_object(issuer: Issuer, check: TokenCheck, header: bytes) -> None:
    """JOSE-03, JOSE-06: a header that is other JSON, or no JSON, is refused like any other."""
    assert_refused(check, issuer.mint(header))


@pytest.mark.parametrize("content", [b"[" * 12_000, b'{"a":' * 2_000 + b"1" + b"}" * 2_000])
def test_jose_04_deep_nesting(issuer: Issuer, check: TokenCheck, content: bytes) -> None:
    """JOSE-04: nesting is refused from a stranger and under a good signature, in header and payload, in 20 ms."""
    started = time.process_time()
    assert_refused(check, f"{encode(issuer.header())}.{encode(b'[' * 90_000)}.AAAA")
    assert_refused(check, f"{encode(content)}.AAAA.AAAA")
    assert time.process_time() - started < 0.02
    assert_refused(check, issuer.mint(None, content))


@pytest.mark.parametrize("payload", [b"", b"null", b"5", b"[]", b"{}", b"\xff\xfe", b'{"iss":"\xed\xa0\x80"}', b"{"])
def test_jose_06_payloads_that_are_no_claims(issuer: Issuer, check: TokenCheck, payload: bytes) -> None:
    """JOSE-06: a payload that is no UTF-8, no JSON or no object is refused."""
    assert_refused(check, issuer.mint(None, payload))


@pytest.mark.parametrize("segment", [0, 1, 2])
@pytest.mark.parametrize("junk", ["=", "==", "+", "/", "\n", " ", "\x00", "é", "\ud800", "?", "AAAA"])
def test_jose_07_foreign_characters(issuer: Issuer, check: TokenCheck, segment: int, junk: str) -> None:
    """JOSE-07: padding, the other base64 alphabet, whitespace or more text in any segment is refused."""
    whole = issuer.mint().split(".")
    for place in (0, len(whole[segment]) // 2, len(whole[segment])):
        parts = list(whole)
        parts[segment] = parts[segment][:place] + junk + parts[segment][place:]
        assert_refused(check, ".".join(parts))
        assert_refused(check, issuer.sign_segments(*parts[:2]) if segment < 2 and junk != "AAAA" else ".".join(parts))


def test_jose_07_one_spelling_only(issuer: Issuer, check: TokenCheck) -> None:
    """JOSE-07: of the 16 last characters that decode to the same signature only the canonical one is accepted."""
    token = issuer.mint()
    head, last = token[:-1], DIGITS.index(token[-1])
    for digit in DIGITS[last - last % 16 : last - last % 16 + 16]:
        assert unb64((head + digit).rpartition(".")[2]) == unb64(token.rpartition(".")[2])
        if digit != token[-1]:
            assert_refused(check, head + digit)


def test_jose_08_huge_tokens(issuer: Issuer, check: TokenCheck) -> None:
    """JOSE-08: five megabytes of header, of payload or of dots are refused before anything is decoded."""
    header, payload, signature = issuer.mint().split(".")
    huge = "A" * 5_000_000
    started = time.process_time()
    for token in (f"{huge}.{payload}.{signature}", f"{header}.{huge}.{signature}", "." * 5_000_000, huge):
        with pytest.raises(InvalidToken):
            check.verify(token)
    assert time.process_time() - started < 0.02
    assert_refused(check, issuer.mint(issuer.header(x="A" * 3000)))


def test_jose_09_the_other_good_signature(issuer: Issuer, check: TokenCheck) -> None:
    """JOSE-09: the token with s replaced by n - s is the same token: same `jti`, so it is revoked with it."""
    token = issuer.mint()
    assert check.verify(malleated(token)).jti == check.verify(token).jti


def test_jose_10_encrypted_tokens(check: TokenCheck) -> None:
    """JOSE-10: JWE is not spoken here, with `zip` or `p2c` or without."""
    for header in ({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}, {"alg": "PBES2-HS256+A128KW", "p2c": 2**31}):
        assert_refused(check, f"{encode(header)}.AAAA.AAAA.AAAA.AAAA")
        assert_refused(check, f"{encode(header)}.AAAA.AAAA")


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS256", "ES384", "es256", "", 5, ["ES256"], {"a": 1}])
def test_jose_19_another_algorithm(issuer: Issuer, check: TokenCheck, alg: Any) -> None:
    """JOSE-12, JOSE-13, JOSE-19: a header with another `alg` than the key's is refused, whatever is signed."""
    header = issuer.header(alg=alg)
    assert_refused(check, issuer.mint(header))
    assert_refused(check, f"{encode(header)}.{encode(issuer.claims())}.")


def test_jose_19_each_key_has_one_algorithm() -> None:
    """JOSE-19: with RS256 and PS256 allowed, a key of the one does not verify the other."""
    rs256, ps256 = Issuer(SigningAlg.RS256, kid="rs"), Issuer(SigningAlg.PS256, kid="ps")
    check = rs256.check(rs256.jwk(), ps256.jwk(), algorithms=["RS256", "PS256"])
    assert check.verify(rs256.mint()).kid == "rs"
    assert check.verify(ps256.mint()).kid == "ps"
    ps256.key = rs256.key
    assert_refused(check, ps256.mint(ps256.header(kid="rs")))


@pytest.mark.parametrize(
    "members",
    [
        *({"kid": None}, {"kid": 5}, {"kid": ""}, {"kid": "other"}, {"kid": [1]}, {"kid": "../../dev/null"}),
        *({"jwk": {}}, {"jku": "https://x"}, {"x5u": "https://x"}, {"x5c": []}, {"zip": "DEF"}, {"enc": "A256GCM"}),
    ],
)
def test_jose_20_headers_that_name_no_key_of_ours(issuer: Issuer, check: TokenCheck, members: dict[str, Any]) -> None:
    """JOSE-20: a kid that is missing, odd or foreign, an embedded key or key address is refused (RFC 8725 §3.10)."""
    assert_refused(check, issuer.mint(issuer.header(**members)))


def test_an_embedded_key_is_not_believed(check: TokenCheck) -> None:
    """RFC 8725 §3.10: a token signed by the key that it brings along is refused."""
    stranger = Issuer()
    assert_refused(check, stranger.mint(stranger.header(jwk=stranger.jwk())))


def test_doubled_members_are_refused(issuer: Issuer, check: TokenCheck) -> None:
    """What two parsers read differently is refused, in header and payload."""
    header, claims = (json.dumps(part).encode() for part in (issuer.header(), issuer.claims()))
    assert_refused(check, issuer.mint(header[:-1] + b',"alg":"none"}'))
    assert_refused(check, issuer.mint(None, claims[:-1] + b',"sub":"root"}'))
    assert_refused(check, issuer.mint(None, claims[:-1] + b',"a":{"b":1,"b":2}}'))


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity", b"9" * 5000, b"1" + b"0" * 400 + b".0e"])
def test_numbers_that_are_none(issuer: Issuer, check: TokenCheck, text: bytes) -> None:
    """RFC 8259 §6: what is no number in JSON is refused, in whichever claim."""
    claims = json.dumps(issuer.claims()).encode()
    assert_refused(check, issuer.mint(None, claims[:-1] + b',"x":' + text + b"}"))


@pytest.mark.parametrize("token", ["", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "null", "{}", "\x00", "\ud800"])
def test_texts_that_are_no_token(check: TokenCheck, token: str) -> None:
    """RFC 7515 §7.1: three segments, none of them optional."""
    assert_refused(check, token)


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_missing_and_foreign_segments(issuer: Issuer, check: TokenCheck, segment: int) -> None:
    """RFC 7515 §7.1: a token with an emptied segment, or one of another token, is refused."""
    for other in ("", issuer.mint(issuer.header(x=1)).split(".")[segment]):
        parts = issuer.mint().split(".")
        parts[segment] = other
        assert_refused(check, ".".join(parts))


def test_json_serialization_is_not_spoken(issuer: Issuer, check: TokenCheck) -> None:
    """RFC 7515 §7.2: the JSON form of a good token is refused."""
    protected, payload, signature = issuer.mint().split(".")
    form = {"payload": payload, "protected": protected, "signature": signature}
    assert_refused(check, json.dumps(form))
    assert_refused(check, base64.b64encode(json.dumps(form).encode()).decode())


def test_a_wrong_signature_is_unreadable_and_not_unknown(issuer: Issuer, check: TokenCheck) -> None:
    """No key is asked for on account of a token that names a known one."""
    with pytest.raises(Unreadable):
        check.verify(badly_signed(issuer.mint()))
    assert b64(unb64("AAAA")) == "AAAA"
