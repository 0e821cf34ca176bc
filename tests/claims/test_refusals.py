"""Which templates are refused when they are saved, and what the administrator reads."""

from __future__ import annotations

import pytest

from authserver.claims.errors import InvalidTemplate
from authserver.claims.template import compile_template
from authserver.core.errors import ValidationFailed
from tests.claims.contexts import render

_REGISTERED = [
    "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "act", "may_act", "azp", "token_type",
    "workspace_id", "credential_id", "active",
]  # fmt: skip


def _refusal(source: str) -> str:
    with pytest.raises(InvalidTemplate) as caught:
        compile_template(source)
    return caught.value.detail


@pytest.mark.parametrize(
    "name", [*_REGISTERED, "Sub", "ISS", "scope ", "\\tJTI\\n", "\\u0073ub", "\\u017fub", "\u00a0exp"]
)
def test_registered_claims_cannot_be_set(name: str) -> None:
    """CLM-01, CLM-09: registered claims and the server's own are refused in any case, spacing or escape."""
    assert "set by the server" in _refusal(f'{{"ok": 1, "{name}": 1}}')


@pytest.mark.parametrize("source", ['{"%s": 1}', '{"a": {"%s": 1}}', '{"a": [{"b": {"%s": {{ client.client_id }}}}]}'])
@pytest.mark.parametrize("name", ["__proto__", "constructor", "prototype", "\\u005f_proto__"])
def test_prototype_names_are_refused_at_any_depth(source: str, name: str) -> None:
    """CLM-09: names that change objects in JavaScript are refused wherever they stand."""
    assert "JavaScript" in _refusal(source % name)


@pytest.mark.parametrize("name", ["", "1st", "a b", "-a", "ключ", "a\\u0000", "a" * 129, "a,b", "{a"])
def test_odd_claim_names_are_refused(name: str) -> None:
    """CLM-09: a claim's name is ASCII, starts with a letter or _, and has at most 128 characters."""
    assert "is not a claim name" in _refusal(f'{{"{name}": 1}}')


def test_long_names_are_refused_at_any_depth() -> None:
    """CLM-06: no name inside a claim has more than 128 characters."""
    assert compile_template('{"a": {"%s": 1}}' % ("b" * 128))
    assert "more than 128 characters" in _refusal('{"a": {"%s": 1}}' % ("b" * 129))


def test_claim_names_with_a_namespace_are_allowed() -> None:
    """Collision-resistant names (RFC 7519 §4.2) work, and registered names below the top are free."""
    assert render('{"https://example.com/x-1": 1, "_a.b": 2, "user": {"sub": "u1", "é 1": 3}}') == {
        "https://example.com/x-1": 1, "_a.b": 2, "user": {"sub": "u1", "é 1": 3},
    }  # fmt: skip


@pytest.mark.parametrize(
    "expression",
    [
        "7*7", "", "client", "token", "workspace", "request", "request.user_id", "user.id", "client.secrets",
        "client.secret_hash", "client.__class__.__mro__", "client['client_id']", "client[0]", "client.client_id.upper",
        "client.scope[0]", "token.iss.x", "token.kid", "workspace.secret", "client.trusted_metadata.", "os.environ",
        "client.trusted_metadata[-1]", "client.trusted_metadata[99999]", "client.trusted_metadata[true]",
        "client.trusted_metadata[1.5]", "client.trusted_metadata.a()", "client.client_id | upper",
        "client.client_id ||",
        "client.client_id || null", "client.client_id || nowhere.x", "required", "required client.client_id || 1",
        "client.client_id || {{ client.client_name }}", "client.client_id || [ {{ client.client_name }} ]",
        '"free"', "client.client_id || NaN", 'client.client_id || "a" || "b"', "client.client_id client.client_id",
        'client.client_id || "{{ client.client_name }}"', 'client.trusted_metadata["{{ client.client_id }}"]',
    ],
)  # fmt: skip
def test_what_braces_may_not_hold(expression: str) -> None:
    """CLM-03: only paths to public values and plain JSON as the last fallback; no code, no secret, no attribute."""
    for source in (f'{{"x": {{{{ {expression} }}}}}}', f'{{"x": "a{{{{ {expression} }}}}"}}'):
        assert _refusal(source).startswith("template: line 1, column ")


@pytest.mark.parametrize("fallback", ["{}", "[1]", '{"a": 1}'])
def test_a_string_takes_no_structured_fallback(fallback: str) -> None:
    """CLM-08: an object or an array has no place inside a string, so it is refused as its fallback."""
    assert "inside a string" in _refusal(f'{{"x": "{{{{ client.client_id || {fallback} }}}}"}}')


@pytest.mark.parametrize(
    "source",
    [
        "", " ", "[]", "1", '"x"', "null", "{{ client.trusted_metadata }}", "{", '{"a"', '{"a":', '{"a": 1',
        '{"a": 1,}', '{"a": 1} x', '{"a": 1}{}', "{a: 1}", '{"a" 1}', '{"a": 01}', '{"a": +1}', '{"a": .5}',
        '{"a": True}', '{"a": }', '{"a": [1,]}', '{"a": [1 2]}', '{"a": "x', '{"a": "x\\q"}', '{"a": "x\\',
        '{"a": "\\u12"}', '{"a": "x\ny"}', "{'a': 1}", '{"a": {{ client.client_id }', '{"a": 1} // end', '{"a": ٣}',
        '{"a": "{{ client.client_id }"}', '{"{{ client.client_id }}": 1}', '\ufeff{"a": 1}',
        '{"a": "{{{ client.client_id }}}"}',
    ],
)  # fmt: skip
def test_broken_json_is_refused(source: str) -> None:
    """CLM-03: what is not JSON around the braces is refused where it starts."""
    assert _refusal(source).startswith("template: line ")


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", str(2**64), "9" * 5000, '"\\ud800"', '"\\udfff\\ud800"',
     '"a\\u202eb"', '"\u2066"', '"\\ud83d{{ client.client_id }}\\ude00"', '{"\\ud800": 1}', '{"\u202e": 1}'],
)  # fmt: skip
def test_odd_numbers_and_characters_are_refused(value: str) -> None:
    """CLM-08: NaN, Infinity, endless numbers, lone surrogates and bidirectional controls have no place."""
    assert _refusal(f'{{"a": {value}}}')


def test_a_raw_lone_surrogate_is_refused() -> None:
    """CLM-08: a source without a UTF-8 form is refused, wherever the odd character stands."""
    assert "surrogate" in _refusal('{"a": 1} \ud800')


@pytest.mark.parametrize("source", ['{"a": 1, "a": 2}', '{"b": {"a": 1, "\\u0061": {{ client.client_id }}}}'])
def test_duplicate_names_are_refused(source: str) -> None:
    """CLM-09: no two readers may see two different values of one member."""
    assert "stands twice" in _refusal(source)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":', '"{{client.client_id||', "{{client.client_id||"])
def test_deep_nesting_is_refused_at_once(opening: str) -> None:
    """CLM-06: nesting stops at 16, long before the stack is in danger."""
    assert "nested more than 16 deep" in _refusal(f'{{"a": {opening * 400}')
    assert "longer than 16384 bytes" in _refusal(f'{{"a": {opening * 90_000}')


def test_nesting_up_to_the_limit_is_allowed() -> None:
    """CLM-06: sixteen levels, the template's own object among them."""
    assert compile_template('{"a": ' + "[" * 15 + "]" * 15 + "}")
    assert "nested" in _refusal('{"a": ' + "[" * 16 + "]" * 16 + "}")


@pytest.mark.parametrize("count", [100, 10_000])
def test_the_number_of_members_is_limited(count: int) -> None:
    """CLM-06: at most 100 members, elements and braces inside strings, wherever they stand."""
    members = ",".join(f'"a{i}":1' for i in range(count))
    assert _refusal(f'{{"x":{{{members}}}}}')
    assert _refusal(f'{{"x":[{",".join("1" * count)}]}}')
    assert _refusal(f'{{"x":"{"{{client.client_id}}" * count}"}}')


def test_members_up_to_the_limit_are_allowed() -> None:
    """CLM-06: exactly 100 members compile and render."""
    assert len(render("{" + ",".join(f'"a{i}":1' for i in range(100)) + "}")) == 100


def test_the_source_is_limited_in_bytes() -> None:
    """CLM-06: 16 KB of UTF-8 and not one byte more; the text is not repeated."""
    assert compile_template('{"a": 1}' + " " * (16 * 1024 - 8))
    assert _refusal('{"a": "' + "é" * 8_192 + '"}') == "template: longer than 16384 bytes"


@pytest.mark.parametrize(
    "source",
    ['{"a": "%s"}', '{"a": ["%s{{ client.client_id }}"]}', '{"a": {{ client.client_id || "%s" }}}',
     '{"a": "{{ client.client_id || "%s" }}"}'],
)  # fmt: skip
def test_the_fixed_part_is_limited(source: str) -> None:
    """CLM-06: a template whose fixed text or fallbacks alone exceed the claims' 4,096 bytes is not saved."""
    assert "fixed part" in _refusal(source % ("x" * 4_090))
    assert compile_template(source % ("x" * 3_900))


@pytest.mark.parametrize(
    "name",
    ["grant_type", "scope", "resource", "client_id", "client_secret", "client_assertion", "client_assertion_type",
     "audience", "token", "Client_Secret", "assertion", "code_verifier", "authorization_details"],
)  # fmt: skip
def test_oauth_parameters_cannot_be_declared(name: str) -> None:
    """CLM-03: no template reads a secret or a protocol parameter out of the request."""
    assert "parameter of OAuth itself" in _refusal(f'accept request.{name}\n{{"a": {{{{ request.{name} }}}}}}')


@pytest.mark.parametrize(
    "front",
    ["accept", "accept request", "accept request.", "accept client.client_id", "accept request.a-b", "accept request.1",
     "accept request.a,", "accept request.a request.b", "accept request.a b", "Accept request.a", "accept a",
     "accept request." + "a" * 65, "accept " + ", ".join(f"request.a{i}" for i in range(17))],
)  # fmt: skip
def test_odd_declarations_are_refused(front: str) -> None:
    """CLM-03: a declaration names plain parameters of the request and nothing else."""
    assert _refusal(f'{front}\n{{"a": 1}}').startswith("template: line ")


def test_request_parameters_are_plain_values() -> None:
    """CLM-03: nothing lies below a parameter, which is always a string."""
    assert "plain value" in _refusal('accept request.a {"x": {{ request.a.b }}}')
    assert "not declared" in _refusal('accept request.a {"x": {{ request.b }}}')


def test_a_refusal_says_where() -> None:
    """The administrator reads the field, the line, the column and what to do."""
    with pytest.raises(ValidationFailed) as caught:
        compile_template('{\n  "a": 1,\n  "b": {{ user.id }}\n}')
    (problem,) = caught.value.problems
    assert problem.field == "template"
    assert problem.problem.startswith("line 3, column 11: 'user' is not known here: a path starts with client")


def test_a_refusal_never_repeats_long_input() -> None:
    """CLM-06: messages stay short and ASCII whatever the names in the template are."""
    for name in ("x" * 10_000, "ж\u202e" * 3_000):
        for source in (f'{{"{name}": 1}}', f'{{"a": {{{{ {name} }}}}}}', f'{{"a": {{{{ client["{name}"] }}}}}}'):
            detail = _refusal(source)
            assert detail.isascii()
            assert len(detail) < 400


def test_every_change_is_judged_anew() -> None:
    """CLM-12: a template that was fine does not make its successor fine."""
    assert compile_template('{"user": 1}')
    assert "set by the server" in _refusal('{"user": 1, "sub": 1}')
    assert "set by the server" in _refusal('{"user": 1, "sub": 1}')
