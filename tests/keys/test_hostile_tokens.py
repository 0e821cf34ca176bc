"""Texts that claim to be tokens of ours."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authserver.core.resource import SigningAlg, TokenType
from authserver.jose.compact import encode_segment
from authserver.jose.errors import UntrustedToken
from authserver.keys.ring import KeyRing
from tests.keys.deployment import Deployment

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True)
class Victim:
    """An instance, one good token of its own, and its parts."""

    deployment: Deployment
    ring: KeyRing
    token: str
    kid: str

    def parts(self) -> list[str]:
        """Return header, payload and signature segments."""
        return self.token.split(".")

    def signed(self, header: bytes, payload: bytes) -> str:
        """Sign anything with our own ES256 key: the worst that a bug of ours could let out."""
        key = self.ring.signer_for(workspace_id="default", alg=SigningAlg.ES256, resource_id=None)._key
        text = encode_segment(header) + b"." + encode_segment(payload)
        return (text + b"." + encode_segment(key.sign(text))).decode()

    def header(self, **members: Any) -> bytes:
        """Return our header with members added or changed."""
        return json.dumps({"alg": "ES256", "kid": self.kid, "typ": "at+jwt", **members}, separators=(",", ":")).encode()

    def payload(self, **changes: Any) -> bytes:
        """Return good claims with some changed; None leaves one out."""
        return json.dumps(self.deployment.claims(**changes)).encode()

    def refuses(self, token: str) -> None:
        """Assert a 401 `invalid_token` and no other outcome, without an echo of the token."""
        with pytest.raises(UntrustedToken) as caught:
            self.ring.verify(token)
        assert (caught.value.status, caught.value.error) == (401, "invalid_token")


@pytest.fixture(scope="module")
def victim() -> Victim:
    """One instance for all rows: a refusal changes nothing."""
    deployment = Deployment()
    ring = asyncio.run(deployment.started())
    token = deployment.token(ring)
    return Victim(deployment, ring, token, ring.verify(token).kid)


def test_what_these_tests_sign_is_good_when_unaltered(victim: Victim) -> None:
    """The rows below differ from a good token in the one thing that they name."""
    assert victim.ring.verify(victim.signed(victim.header(), victim.payload())).subject == "cl_1"


@pytest.mark.parametrize("crit", [5, None, [{}], "alg", [], ["zz"], ["exp"]])
def test_jose_01_critical_headers(victim: Victim, crit: Any) -> None:
    """JOSE-01: `crit` of any type and content is refused, even signed by our own key."""
    victim.refuses(victim.signed(victim.header(crit=crit), victim.payload()))


def test_jose_02_unencoded_payload(victim: Victim) -> None:
    """JOSE-02: `b64: false` is refused, with 200 KB of payload and with little."""
    header = victim.header(b64=False, crit=["b64"])
    victim.refuses(victim.signed(header, victim.payload()))
    victim.refuses(f"{encode_segment(header).decode()}.{'x' * 200_000}.AAAA")


@pytest.mark.parametrize("header", [b'"alg"', b'["alg"]', b"5", b"null", b"{}", b"[]", b"", b"\xff\xfe", b"{" * 500])
def test_jose_03_headers_that_are_no_object(victim: Victim, header: bytes) -> None:
    """JOSE-03, JOSE-06: a header that is other JSON, or no JSON, is refused like any other."""
    victim.refuses(victim.signed(header, victim.payload()))


def test_jose_04_deep_nesting_from_outside(victim: Victim) -> None:
    """JOSE-04: 90,000 brackets are refused in less than 20 ms."""
    token = f"{victim.parts()[0]}.{encode_segment(b'[' * 90_000).decode()}.{victim.parts()[2]}"
    started = time.process_time()
    victim.refuses(token)
    assert time.process_time() - started < 0.02


@pytest.mark.parametrize("payload", [b"[" * 12_000, b'{"a":' * 2_000 + b"1" + b"}" * 2_000])
def test_jose_04_deep_nesting_signed_by_ourselves(victim: Victim, payload: bytes) -> None:
    """JOSE-04: nesting under a good signature, which the holder of an HS256 secret can make, is refused too."""
    victim.refuses(victim.signed(victim.header(), payload))


@pytest.mark.parametrize("payload", [b"", b"null", b"5", b"[]", b"{}", b"\xff\xfe", b'{"iss":"\xed\xa0\x80"}', b"{"])
def test_jose_06_payloads_that_are_no_claims(victim: Victim, payload: bytes) -> None:
    """JOSE-06: a payload that is no UTF-8, no JSON or no object is refused."""
    victim.refuses(victim.signed(victim.header(), payload))


@pytest.mark.parametrize("segment", [0, 1, 2])
@pytest.mark.parametrize("junk", ["=", "==", "+", "/", "\n", " ", "\x00", "é", "\ud800", "?", "AAAA"])
def test_jose_07_foreign_characters(victim: Victim, segment: int, junk: str) -> None:
    """JOSE-07: padding, the other base64 alphabet, whitespace or more text in any segment is refused."""
    for place in (0, len(victim.parts()[segment]) // 2, len(victim.parts()[segment])):
        parts = victim.parts()
        parts[segment] = parts[segment][:place] + junk + parts[segment][place:]
        victim.refuses(".".join(parts))


def test_jose_07_one_spelling_only(victim: Victim) -> None:
    """JOSE-07: of the 16 last characters that decode to the same signature only the canonical one is accepted."""
    head, last = victim.token[:-1], DIGITS.index(victim.token[-1])
    for digit in DIGITS[last - last % 16 : last - last % 16 + 16]:
        if digit == victim.token[-1]:
            continue
        same = base64.urlsafe_b64decode((head + digit).rpartition(".")[2] + "==")
        assert same == base64.urlsafe_b64decode(victim.parts()[2] + "==")
        victim.refuses(head + digit)


def test_jose_08_huge_tokens(victim: Victim) -> None:
    """JOSE-08: five megabytes of header, of payload or of dots are refused before anything is decoded."""
    header, payload, signature = victim.parts()
    huge = "A" * 5_000_000
    started = time.process_time()
    for token in (f"{huge}.{payload}.{signature}", f"{header}.{huge}.{signature}", "." * 5_000_000):
        victim.refuses(token)
    assert time.process_time() - started < 0.02


def test_jose_10_encrypted_tokens(victim: Victim) -> None:
    """JOSE-10: JWE is not spoken here, with `zip` or `p2c` or without."""
    for header in ({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}, {"alg": "PBES2-HS256+A128KW", "p2c": 2**31}):
        victim.refuses(f"{encode_segment(json.dumps(header).encode()).decode()}.AAAA.AAAA.AAAA.AAAA")


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS256", "ES384", "es256", "", None, 5, ["ES256"]])
def test_jose_19_another_algorithm(victim: Victim, alg: Any) -> None:
    """JOSE-12, JOSE-13, JOSE-19: a header with another `alg` than the key's is refused, whatever is signed."""
    header = victim.header(alg=alg)
    victim.refuses(victim.signed(header, victim.payload()))
    victim.refuses(f"{encode_segment(header).decode()}.{encode_segment(victim.payload()).decode()}.")


@pytest.mark.parametrize(
    "members",
    [{"kid": "other"}, {"kid": None}, {"kid": 5}, {"typ": "JWE"}, {"typ": "AT+JWT"}, {"jwk": {}}, {"jku": "https://x"}],
)
def test_headers_that_we_never_write(victim: Victim, members: dict[str, Any]) -> None:
    """RFC 8725 §3.10: a foreign kid, `typ`, embedded key or key address is refused, and nothing is fetched."""
    victim.refuses(victim.signed(victim.header(**members), victim.payload()))


def test_a_header_with_a_doubled_member_is_refused(victim: Victim) -> None:
    """A header that two parsers read differently is no header of ours."""
    victim.refuses(victim.signed(victim.header()[:-1] + b',"alg":"none"}', victim.payload()))


@pytest.mark.parametrize(
    "name", ["iss", "sub", "aud", "client_id", "iat", "exp", "jti", "workspace_id", "credential_id"]
)
@pytest.mark.parametrize("value", [None, 5.5, True, "", [], {}, [5], -1, 10**30])
def test_members_of_a_wrong_type(victim: Victim, name: str, value: Any) -> None:
    """RFC 9068 §2.2: a required member missing, empty, of another type or out of range is refused."""
    victim.refuses(victim.signed(victim.header(), victim.payload(**{name: value})))


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://as.example/"},
        {"iss": "https://AS.example"},
        {"aud": ["https://api.example", 5]},
        {"jti": "not-a-uuid"},
        {"jti": "019a0000-0000-4000-8000-000000000000"},
        {"jti": "019a0000-0000-7000-8000-000000000000\n"},
        {"scope": ["read"]},
        {"nbf": "now"},
        {"exp": "9999999999"},
    ],
)
def test_members_of_a_wrong_value(victim: Victim, change: dict[str, Any]) -> None:
    """RFC 9068 §4: another issuer is refused, and so is whatever a revocation could not be compared with."""
    victim.refuses(victim.signed(victim.header(), victim.payload(**change)))


@pytest.mark.parametrize("token", ["", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "null", "{}"])
def test_texts_that_are_no_token(victim: Victim, token: str) -> None:
    """RFC 7515 §7.1: three segments, none of them optional."""
    victim.refuses(token)


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_a_missing_segment(victim: Victim, segment: int) -> None:
    """RFC 7515 §7.1: a token with an emptied segment is refused."""
    parts = victim.parts()
    parts[segment] = ""
    victim.refuses(".".join(parts))


def test_a_signature_of_another_token_is_refused(victim: Victim) -> None:
    """A token made of a good header, good claims and a good signature that do not belong together is refused."""
    other = victim.deployment.token(victim.ring).split(".")
    victim.refuses(".".join([*victim.parts()[:2], other[2]]))


def test_the_reason_repeats_nothing_of_the_token(victim: Victim) -> None:
    """U4: what is logged about a refusal holds no part of the token."""
    for token in (victim.token[:-2] + "AA", victim.signed(victim.header(), victim.payload(sub=5, canary="c4n4ry"))):
        with pytest.raises(UntrustedToken) as caught:
            victim.ring.verify(token)
        assert "c4n4ry" not in caught.value.reason
        assert not any(part in caught.value.reason for part in token.split("."))


@settings(deadline=None)
@given(text=st.text(), place=st.integers(0, 2))
def test_anything_else_is_refused(text: str, place: int) -> None:
    """Whatever text stands for a segment, the outcome is a refusal, never another exception."""
    victim = _fuzzed()
    parts = victim.parts()
    parts[place] = text
    victim.refuses(".".join(parts))
    victim.refuses(text)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_any_signed_json_is_refused(value: Any) -> None:
    """Whatever JSON is signed in place of claims, the outcome is a refusal."""
    victim = _fuzzed()
    victim.refuses(victim.signed(victim.header(), json.dumps(value).encode()))


_FUZZED: list[Victim] = []


def _fuzzed() -> Victim:
    """Return one victim for all examples; Hypothesis takes no function-scoped fixture."""
    if not _FUZZED:
        deployment = Deployment()
        ring = asyncio.run(deployment.started())
        signer = ring.signer_for(workspace_id="default", alg=SigningAlg.ES256, resource_id=None)
        token = signer.sign(deployment.claims(), TokenType.AT_JWT)
        _FUZZED.append(Victim(deployment, ring, token, signer.kid))
    return _FUZZED[0]
