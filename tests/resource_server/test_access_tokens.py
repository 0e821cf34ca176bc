"""What the claims of a well-signed token must say (RFC 9068 §4), and what they allow."""

from __future__ import annotations

import copy
import hmac
import json
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import pytest

from authserver.core.errors import ConfigurationError
from authserver.core.identifiers import new_token_id
from authserver.resource_server.check import Limits, TokenCheck, require_scopes
from authserver.resource_server.demands import NO_SCOPES
from authserver.resource_server.errors import InsufficientScope, InvalidToken
from tests.conformance.forge import b64, badly_signed, encode
from tests.resource_server.issuer import AUDIENCE, ISSUER, Issuer

REQUIRED = ("iss", "sub", "aud", "client_id", "iat", "exp", "jti", "workspace_id", "credential_id")


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """One key for all rows."""
    return Issuer()


@pytest.fixture(scope="module")
def check(issuer: Issuer) -> TokenCheck:
    """One check for all rows."""
    return issuer.check()


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "", 5, ["at+jwt"], "at+jwt ", "application/jwt"])
def test_rs_01_another_typ(issuer: Issuer, check: TokenCheck, typ: Any) -> None:
    """RS-01: a token whose `typ` is absent, `JWT` or anything else is refused."""
    with pytest.raises(InvalidToken):
        check.verify(issuer.mint(issuer.header(typ=typ)))


def test_rs_01_the_typ_of_the_resource(issuer: Issuer, check: TokenCheck) -> None:
    """RS-01: both spellings of `at+jwt` are good; a resource of `typ` JWT takes that one and no other."""
    for typ in ("at+jwt", "application/at+jwt"):
        assert check.verify(issuer.mint(issuer.header(typ=typ)))
    plain = issuer.check(typ="JWT")
    assert plain.verify(issuer.mint(issuer.header(typ="JWT")))
    for other in ("at+jwt", None):
        with pytest.raises(InvalidToken):
            plain.verify(issuer.mint(issuer.header(typ=other)))


@pytest.mark.parametrize(
    "aud", ["https://other.example", AUDIENCE + "/", AUDIENCE.upper(), [], ["https://other.example"], [AUDIENCE, 5], {}]
)
def test_rs_02_another_audience(issuer: Issuer, check: TokenCheck, aud: Any) -> None:
    """RS-02: a token for somebody else is refused, and so is an audience that is no text."""
    with pytest.raises(InvalidToken):
        check.verify(issuer.mint(None, issuer.claims(aud=aud)))


def test_rs_02_one_of_several_audiences(issuer: Issuer, check: TokenCheck) -> None:
    """RS-02: our audience among others does."""
    several = ["https://other.example", AUDIENCE]
    assert check.verify(issuer.mint(None, issuer.claims(aud=several))).audience == tuple(several)


@pytest.mark.parametrize("scope", [5, ["read"], True, {}, "read  write", " read", "réad", 'a"b', "a\\b", "x" * 5000])
def test_rs_03_malformed_scopes(issuer: Issuer, check: TokenCheck, scope: Any) -> None:
    """RS-03: a scope of another type or form is 401, whatever is asked for."""
    with pytest.raises(InvalidToken):
        check.verify(issuer.mint(None, issuer.claims(scope=scope)))


@pytest.mark.parametrize("scope", [None, ""])
def test_rs_03_without_scope(issuer: Issuer, check: TokenCheck, scope: str | None) -> None:
    """RS-03: a token that says nothing of scopes is good, and is 401 as soon as one is asked for."""
    token = check.verify(issuer.mint(None, issuer.claims(scope=scope)))
    assert (token.scope, token.scopes) == ("", frozenset())
    require_scopes(token, all_of=(), any_of=NO_SCOPES)
    for demand in ({"all_of": ("read",), "any_of": ()}, {"all_of": (), "any_of": ("read",)}):
        with pytest.raises(InvalidToken):
            require_scopes(token, **demand)


SCOPE_ROWS: list[tuple[str, Any, Any, bool]] = [
    ("a", ("a",), (), True),
    ("a", ("a", "b"), (), False),
    ("a b", ("a", "b"), (), True),
    ("a b", "a b", (), True),
    ("a", "a b", (), False),
    ("a", (), ("a", "b"), True),
    ("c", (), ("a", "b"), False),
    ("c", (), "a b", False),
    ("a c", ("c",), ("a", "b"), True),
    ("c", ("c",), ("a", "b"), False),
    ("a", ("c",), ("a", "b"), False),
    ("write", ("read",), (), True),
    ("read", ("write",), (), False),
    ("read", "read", (), True),
    ("r e a d", "read", (), False),
    ("READ", ("read",), (), False),
    ("reader", ("read",), (), False),
]


@pytest.mark.parametrize(("granted", "all_of", "any_of", "allowed"), SCOPE_ROWS)
def test_rs_04_scopes(
    issuer: Issuer, check: TokenCheck, granted: str, all_of: Any, any_of: Any, *, allowed: bool
) -> None:
    """RS-04: each of `all_of` is needed, one of `any_of` does; a text is a list with spaces; inclusion counts."""
    token = check.verify(issuer.mint(None, issuer.claims(scope=granted)))
    if allowed:
        require_scopes(token, all_of=all_of, any_of=any_of)
        require_scopes(token, all_of=_once(all_of), any_of=_once(any_of))
    else:
        with pytest.raises(InsufficientScope):
            require_scopes(token, all_of=_once(all_of), any_of=_once(any_of))


@pytest.mark.parametrize("cnf", [{"jkt": "x"}, {"x5t#S256": "y"}, {}])
def test_rs_13_bound_tokens(issuer: Issuer, check: TokenCheck, cnf: Mapping[str, Any]) -> None:
    """RS-13: a token with `cnf` is refused without a proof or with a bad one, also when it was good a moment ago."""
    token = issuer.mint(None, issuer.claims(cnf=cnf))
    assert check.verify(token, proof=lambda given: given == cnf)
    for proof in (None, lambda _: False):
        with pytest.raises(InvalidToken):
            check.verify(token, proof=proof)


@pytest.mark.parametrize("cnf", ["x", 5, [], False])
def test_rs_13_an_odd_binding(issuer: Issuer, check: TokenCheck, cnf: Any) -> None:
    """RS-13: a `cnf` that is no object is no reason to ask for no proof."""
    with pytest.raises(InvalidToken):
        check.verify(issuer.mint(None, issuer.claims(cnf=cnf)), proof=lambda _: True)


@pytest.mark.parametrize(
    "iss", ["https://other.example", ISSUER + "/", "https://AS.example", ISSUER + ":443", [ISSUER]]
)
def test_rs_15_another_issuer(issuer: Issuer, check: TokenCheck, iss: Any) -> None:
    """RS-15: a token of another issuer is refused, though key and kid are the same."""
    with pytest.raises(InvalidToken):
        check.verify(issuer.mint(None, issuer.claims(iss=iss)))


@pytest.mark.parametrize("workspace_id", ["other", "Default", "", None, ["default"]])
def test_rs_15_another_workspace(issuer: Issuer, check: TokenCheck, workspace_id: Any) -> None:
    """RS-15: a token of another workspace of the same issuer is refused."""
    with pytest.raises(InvalidToken):
        check.verify(issuer.mint(None, {**issuer.claims(), "workspace_id": workspace_id}))


def test_a_wrong_configuration_is_said_once(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever has old settings reads why all is 401; a stranger, whose signature is bad, writes into no log."""
    check = issuer.check()
    for changes in ({"iss": "https://other.example"}, {"aud": "https://other.example"}):
        for _ in range(3):
            token = issuer.mint(None, issuer.claims(**changes))
            for text in (badly_signed(token), token):
                with pytest.raises(InvalidToken):
                    check.verify(text)
    assert [record.getMessage() for record in caplog.records] == [
        f"a token of the issuer is refused: another {what}. Is the verifier configuration old?"
        for what in ("issuer", "audience")
    ]


def test_rs_15_the_same_kid_at_another_issuer(issuer: Issuer, check: TokenCheck) -> None:
    """RS-15: another issuer's key under our kid signs nothing here, with its own `iss` or with ours."""
    stranger = Issuer(kid=issuer.kid, issuer="https://other.example")
    for claims in (stranger.claims(), stranger.claims(iss=ISSUER)):
        with pytest.raises(InvalidToken):
            check.verify(stranger.mint(None, claims))


def test_rs_12_hmac_with_what_everybody_knows(issuer: Issuer, check: TokenCheck) -> None:
    """RS-12: no token made with HMAC is good, be its secret the public key in whichever spelling."""
    key: Any = issuer.key
    pem: bytes = key.as_pem(private=False)
    jwk = repr(issuer.jwk()).encode()
    for secret in (pem, pem.strip(), jwk, issuer.jwk()["x"].encode(), b"", b"secret"):
        for alg in ("HS256", "ES256"):
            signed = f"{encode(issuer.header(alg=alg))}.{encode(issuer.claims())}"
            mac = hmac.digest(secret, signed.encode(), "sha256")
            with pytest.raises(InvalidToken):
                check.verify(f"{signed}.{b64(mac)}")


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, 5.5, True, "", [], {}, [5], -1, 10**30])
def test_members_of_a_wrong_type(issuer: Issuer, check: TokenCheck, name: str, value: Any) -> None:
    """RFC 9068 §2.2: a required member missing, null, empty, of another type or out of range is refused."""
    for claims in (issuer.claims(**{name: value}), {**issuer.claims(), name: value}):
        with pytest.raises(InvalidToken):
            check.verify(issuer.mint(None, claims))


@pytest.mark.parametrize(
    "change",
    [
        *({"jti": "not-a-uuid"}, {"jti": "019a0000-0000-4000-8000-000000000000"}),
        *({"jti": "019a0000-0000-7000-8000-000000000000\n"}, {"jti": "019A0000-0000-7000-8000-000000000000"}),
        *({"exp": 7_258_118_401}, {"jti": "ffffffff-ffff-7000-8000-000000000000"}),
        *({"nbf": "now"}, {"nbf": True}, {"nbf": 1.5}, {"exp": "9999999999"}, {"exp": 1e400}, {"iat": "1"}),
    ],
)
def test_members_of_a_wrong_value(issuer: Issuer, check: TokenCheck, change: dict[str, Any]) -> None:
    """RFC 9068 §4: whatever a revocation or a clock could not be compared with is refused."""
    with pytest.raises(InvalidToken):
        check.verify(issuer.mint(None, issuer.claims(**change)))


@pytest.mark.parametrize("name", ["sub", "client_id", "credential_id", "jti", "scope", "aud", "custom"])
@pytest.mark.parametrize("text", [b"\\ud800", b"x\\uDFFF", b"\\udc00\\ud800", b"\\\\\\ud800"])
def test_half_a_surrogate_pair(issuer: Issuer, check: TokenCheck, name: str, text: bytes) -> None:
    """RFC 8259 §8.2: a text that cannot be written in UTF-8 is refused, so that nothing later meets it."""
    payload = b'{"' + name.encode() + b'":"' + text + b'",'
    claims = {key: value for key, value in issuer.claims().items() if key != name}
    with pytest.raises(InvalidToken):
        check.verify(issuer.mint(None, payload + _json(claims)[1:]))
    with pytest.raises(InvalidToken):
        check.verify(issuer.mint(b'{"x":"' + text + b'",' + _json(issuer.header())[1:]))


def test_whole_surrogate_pairs_are_text(issuer: Issuer, check: TokenCheck) -> None:
    """An escaped character beyond the basic plane, and a text that only looks like an escape, are good."""
    claims = _json(issuer.claims())[:-1] + b',"a":"\\ud83d\\ude00","b":"\\\\ud800","c":"\\uD83D\\uDE00"}'
    assert check.verify(issuer.mint(None, claims)).custom_claims == {"a": "😀", "b": "\\ud800", "c": "😀"}


def test_time_is_judged_on_every_call(issuer: Issuer) -> None:
    """RFC 7519 §4.1.4, §4.1.5: `exp` and `nbf` with the leeway, to the second, for a token that was seen before."""
    now = [1_800_000_000.0]
    config = issuer.check().config
    check = TokenCheck(
        config,
        limits=Limits(leeway_seconds=30),
        follows_revocations=False,
        clock=lambda: now[0],
        monotonic=time.monotonic,
    )
    check.replace_keys(issuer.check().keys or pytest.fail("no keys"))
    claims = issuer.claims(iat=1_800_000_000, nbf=1_800_000_100, exp=1_800_000_200)
    token, without_nbf = issuer.mint(None, claims), issuer.mint(None, claims | {"nbf": claims["iat"]})
    for moment, is_good in ((69, False), (70, True), (229.9, True), (230, False), (10**9, False)):
        now[0] = 1_800_000_000.0 + moment
        if is_good:
            assert check.verify(token)
        else:
            with pytest.raises(InvalidToken):
                check.verify(token)
    now[0] = 1_800_000_000.0 - 31
    with pytest.raises(InvalidToken):
        check.verify(without_nbf)


def test_what_a_token_says(issuer: Issuer, check: TokenCheck) -> None:
    """The claims arrive as they are; nobody can change them for the next caller; custom ones stand apart."""
    jti = new_token_id(time.time_ns() // 1_000_000)
    token = check.verify(issuer.mint(None, issuer.claims(jti=jti, scope="write", roles=["a"])))
    assert (token.jti, token.kid, token.scope) == (jti, issuer.kid, "write")
    assert token.scopes == {"read", "write"}
    assert dict(token.custom_claims) == {"roles": ["a"]}
    assert "roles" not in repr(token)


def test_nobody_changes_the_claims_of_the_next_caller(issuer: Issuer, check: TokenCheck) -> None:
    """A token that was seen before is one object: it refuses changes at any depth, and is plain JSON otherwise."""
    given = issuer.claims(roles=["user"], plan={"name": "small", "limits": [1, {"a": 2}]})
    token = check.verify(issuer.mint(None, given))
    plan, roles = token.claims["plan"], token.custom_claims["roles"]
    claims: Any = token.claims
    changes: list[Callable[[], object]] = [
        *(lambda: roles.append("admin"), lambda: roles.extend(["admin"]), lambda: roles.__iadd__(["admin"])),
        *(roles.clear, lambda: roles.__setitem__(0, "admin"), lambda: roles.insert(0, "admin")),
        *(lambda: plan.update(name="large"), lambda: plan.pop("name"), lambda: plan.__ior__({"name": "large"})),
        *(plan["limits"][1].clear, plan["limits"].pop, lambda: plan.setdefault("b", 1)),
        lambda: claims.__setitem__("sub", "root"),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="read-only"):
            change()
    assert token.claims == given
    assert json.loads(json.dumps(token.claims)) == given
    for copied in (copy.deepcopy(token.claims), pickle.loads(pickle.dumps(token.claims)), asdict(token)["claims"]):  # noqa: S301 - made here
        assert copied == given
    copy.deepcopy(plan)["limits"].append(3)
    assert len({token, replace(token, kid="another")}) == 2


@pytest.mark.parametrize("text", [None, 5, b"a.b.c", ["a.b.c"]])
def test_what_is_no_text_is_no_token(check: TokenCheck, text: Any) -> None:
    """A header that is missing is None in many frameworks."""
    with pytest.raises(InvalidToken):
        check.verify(text)


async def _says_yes(_: object) -> bool:
    return True


def _fails(confirmation: Any) -> bool:
    return bool(confirmation["no such member"])


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("proof", [None, lambda _: False, lambda _: 1, lambda _: "yes", _says_yes, _fails])
def test_a_bound_token_needs_a_plain_yes(issuer: Issuer, check: TokenCheck, proof: Any) -> None:
    """RFC 7800 §3.1: a proof that is anything but True proves nothing; above all not a coroutine that nobody awaits."""
    token = issuer.mint(None, issuer.claims(cnf={"jkt": "x"}))
    with pytest.raises(InvalidToken):
        check.verify(token, proof=proof)
    assert check.verify(token, proof=lambda _: True)
    with pytest.raises(InvalidToken):
        check.verify(issuer.mint(None, {**issuer.claims(), "cnf": None}), proof=lambda _: True)


def test_knowledge_without_end_is_named_fail_open() -> None:
    """A limit that is never passed would let everybody in before the first answer."""
    for seconds in (float("inf"), float("nan"), 0):
        with pytest.raises(ConfigurationError):
            Limits(max_staleness_seconds=seconds)


def _once(names: Any) -> Any:
    return iter(names) if isinstance(names, tuple) else names


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
