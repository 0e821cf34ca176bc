"""Hostile tokens and requests: sections JOSE and RS of the catalogue, through forward-auth and introspection."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.expectations import assert_refused
from tests.conformance.forge import Forge, b64, badly_signed, encode, malleated
from tests.conformance.test_jose import ALGS, JWE_HEADERS, MEMBERS, aliased, maced
from tests.resource_server.deployment import RESOURCE, Deployment
from tests.server import API, FORM
from tests.sidecar.beside import RunningSidecar

PATHS = [
    "/forward-auth",
    "/forward-auth/a",
    "/oauth2/introspect",
    "/.well-known/jwks.json",
    "/health/ready",
    "/metrics",
]

#: RFC 9068 §4 lets the long form of `typ` pass, and RFC 7515 §4 members that say nothing of the signature.
REFUSED_MEMBERS = [member for member in MEMBERS if member not in ({"typ": "application/at+jwt"}, {"cty": "JWT"})]


@pytest.fixture(scope="module")
def forge(deployment: Deployment) -> Forge:
    """Sign with the server's own key."""
    return Forge(deployment.server)


def claims(forge: Forge, **changes: Any) -> dict[str, Any]:
    """Return the claims of a token that would be let in."""
    return forge.claims("victim", **{"aud": RESOURCE, "scope": "read", **changes})


def assert_kept_out(sidecar: RunningSidecar, *tokens: str) -> None:
    """Assert 401 and `active: false` for each, quickly, and no word of it in the log."""
    for token in tokens:
        started = time.monotonic()
        introspected = sidecar.introspect(token)
        assert (introspected.status, introspected.body) == (200, b'{"active":false}'), introspected.body
        assert_refused(sidecar.forward(token), 401, "invalid_token", token)
        assert time.monotonic() - started < 1
    log = sidecar.log()
    assert "Traceback" not in log
    assert not any(len(token) > 20 and token in log for token in tokens)


def test_the_forge_works(sidecar: RunningSidecar, forge: Forge) -> None:
    """JOSE-01: an unaltered token of the forge is let in, so the refusals below mean something."""
    token = forge.sign(forge.header(), claims(forge))
    assert sidecar.forward(token).status == 204
    assert sidecar.introspect(token).json()["active"] is True


@pytest.mark.parametrize("crit", [5, None, [{}], "alg", [], ["exp"], ["b64"]])
def test_jose_01_crit(sidecar: RunningSidecar, forge: Forge, crit: object) -> None:
    """JOSE-01, JOSE-02: `crit` of any form and `b64` are refused, though the signature is good."""
    header = {**forge.header(), "crit": crit}
    assert_kept_out(sidecar, forge.sign(header, claims(forge)), forge.sign({**header, "b64": False}, claims(forge)))


@pytest.mark.parametrize(
    "content",
    ["alg", ["alg"], 5, None, True, {}, b"{", b"\xff\xfe", "ü".encode("utf-16"), b"[" * 2000, b'{"a":' * 2000],
)
def test_jose_03_no_objects(sidecar: RunningSidecar, forge: Forge, content: object) -> None:
    """JOSE-03, JOSE-04, JOSE-06: a header or a payload that is no JSON object in UTF-8 is refused."""
    assert_kept_out(sidecar, forge.sign(content, claims(forge)), forge.sign(forge.header(), content))


@pytest.mark.parametrize(
    "number", ["1e400", "1" + "0" * 400, "-" + "9" * 30, "[" * 900 + "]" * 900, '"\\ud800"', "NaN"]
)
def test_jose_04_claims_that_are_hard_to_write(sidecar: RunningSidecar, forge: Forge, number: str) -> None:
    """JOSE-04: what a signed claim holds is never a failure, though it is asked for."""
    payload = json.dumps(claims(forge))[:-1] + f', "n": {number}}}'
    token = forge.sign(forge.header(), payload.encode())
    assert sidecar.forward(token, "?claims=n").status in {204, 401, 403}
    answer = sidecar.introspect(token)
    assert answer.status == 200
    assert isinstance(answer.json()["active"], bool)


@pytest.mark.parametrize("change", ["=", "==", "+", "/", ".", "é", "last"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_jose_07_one_spelling(sidecar: RunningSidecar, forge: Forge, index: int, change: str) -> None:
    """JOSE-07: no token has a second spelling."""
    segments = forge.sign(forge.header(), claims(forge)).split(".")
    segments[index] = aliased(segments[index]) if change == "last" else segments[index] + change
    assert_kept_out(sidecar, ".".join(segments))


def test_jose_08_large_headers(sidecar: RunningSidecar, forge: Forge) -> None:
    """JOSE-08: large headers are refused here, or by the door before."""
    assert_kept_out(sidecar, forge.sign({**forge.header(), "x": "x" * 12_000}, claims(forge)))
    large = forge.sign({**forge.header(), "x": "x" * 30_000}, claims(forge))
    assert sidecar.forward(large).status == 431
    assert sidecar.introspect(large).body == b'{"active":false}'


def test_jose_09_malleated(deployment: Deployment, sidecar: RunningSidecar, forge: Forge) -> None:
    """JOSE-09: with the token its copy with the other good signature is revoked; one bit more is no signature."""
    bearer = deployment.bearer()
    token = bearer["Authorization"].removeprefix("Bearer ")
    other = malleated(forge.sign(forge.header(), claims(forge)))
    assert sidecar.forward(other).status == 204
    assert_kept_out(sidecar, badly_signed(token))
    deployment.revoke(bearer)
    deadline = time.monotonic() + 1
    while sidecar.forward(token).status != 401:
        assert time.monotonic() < deadline
    assert_kept_out(sidecar, token)


@pytest.mark.parametrize("header", JWE_HEADERS, ids=lambda header: header["alg"])
def test_jose_10_no_jwe(sidecar: RunningSidecar, forge: Forge, header: dict[str, Any]) -> None:
    """JOSE-10: JWE does not exist here."""
    header = {**header, "kid": forge.kid}
    five = ".".join([encode(header), "a2V5", "aXY", b64(b"x" * 5000), "dGFn"])
    assert_kept_out(sidecar, five, forge.sign(header, claims(forge)))


@pytest.mark.parametrize("alg", ALGS)
def test_jose_19_another_alg(deployment: Deployment, sidecar: RunningSidecar, forge: Forge, alg: object) -> None:
    """JOSE-19: an alg that is not the key's own is refused, signed, unsigned, or MACed by the public key."""
    header = {**forge.header(), "alg": alg}
    signed = forge.sign(header, claims(forge))
    pem = deployment.server.admin("GET", f"/signing-keys/{forge.kid}/pem").body
    unsigned = signed.rpartition(".")[0] + "."
    assert_kept_out(sidecar, signed, unsigned, maced(pem, {**header, "alg": "HS256"}, claims(forge)))


@pytest.mark.parametrize("member", REFUSED_MEMBERS, ids=str)
def test_jose_19_headers_we_never_write(sidecar: RunningSidecar, forge: Forge, member: dict[str, Any]) -> None:
    """JOSE-19, RS-01: a missing or foreign header member is refused, and one that brings a key."""
    assert_kept_out(sidecar, forge.sign(forge.header(**member), claims(forge)))


@pytest.mark.parametrize(
    "change",
    [
        *({"scope": scope} for scope in (5, ["read"], {"a": 1}, True, 'a"b', "a  b", "a\r\nb", "é")),
        *({"aud": audience} for audience in (None, "", [], 5, [API], "urn:authserver:admin", {"a": RESOURCE})),
        *({name: None} for name in ("iss", "sub", "client_id", "iat", "exp", "jti", "workspace_id", "credential_id")),
        {"exp": 1_700_000_000},
        {"nbf": 2**50},
        {"iss": "https://elsewhere.example"},
        {"jti": "1"},
        {"workspace_id": "other"},
        {"sub": 5},
        {"cnf": {"jkt": "x"}},
    ],
    ids=lambda change: str(change)[:40],
)
def test_rs_03_claims(sidecar: RunningSidecar, forge: Forge, change: dict[str, Any]) -> None:
    """RS-02, RS-03, RS-13, RS-15: well signed claims that no token for this service has are refused."""
    altered = {name: value for name, value in {**claims(forge), **change}.items() if value is not None}
    assert_kept_out(sidecar, forge.sign(forge.header(), altered))


def test_rs_06_tokens_elsewhere(sidecar: RunningSidecar, forge: Forge) -> None:
    """RS-06: a token in the original query is none, and beside one in the header it is 400."""
    token = forge.sign(forge.header(), claims(forge))
    fields = {"X-Original-Method": "GET", "X-Original-URI": f"/a?access_token={token}"}
    assert sidecar.forward(None, headers=fields).status == 401
    assert_refused(sidecar.forward(token, headers=fields), 400, "invalid_request")


def test_rs_10_strangers_keys(sidecar: RunningSidecar, forge: Forge) -> None:
    """RS-10: tokens that name keys which nobody knows lead to one fetch in 30 seconds at most."""
    before = sidecar.metric("key_fetches_total")
    assert_kept_out(sidecar, *(forge.sign(forge.header(kid=f"stranger-{n}"), claims(forge)) for n in range(50)))
    assert sidecar.metric("key_fetches_total") - before <= 1


@pytest.fixture(scope="module")
def connection(sidecar: RunningSidecar) -> Iterator[Any]:
    """Yield one connection for all fuzzed requests."""
    opened = sidecar.connect()
    yield opened
    opened.close()


_TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40)
_FIELDS = st.lists(
    st.tuples(
        st.sampled_from(["Authorization", "X-Original-Method", "X-Original-URI", "X-Forwarded-Uri", "If-None-Match"]),
        _TEXT | st.builds("Bearer {}".format, _TEXT),
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS"]),
    path=st.sampled_from(PATHS) | st.from_regex(r"/[A-Za-z0-9%._/-]{0,30}", fullmatch=True),
    query=st.from_regex(r"(\?[A-Za-z0-9%&=_+.:/-]{0,60})?", fullmatch=True),
    fields=_FIELDS,
    body=st.binary(max_size=60) | st.builds(lambda text: f"token={text}".encode(), _TEXT),
)
def test_fuzz_requests(
    *, connection: Any, method: str, path: str, query: str, fields: list[tuple[str, str]], body: bytes
) -> None:
    """Whatever is asked, nobody gets in, nothing fails, and the age of the knowledge is said."""
    connection.putrequest(method, path + query)
    for name, value in [*fields, ("Content-Type", FORM), ("Content-Length", str(len(body)))]:
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders(body)
    response = connection.getresponse()
    answer = response.read()
    assert response.status < 500, (response.status, answer)
    assert float(response.headers["X-Auth-Knowledge-Age"]) >= 0
    if "auth" in path and response.status < 300:
        assert answer == b'{"active":false}'
