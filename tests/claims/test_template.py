"""What the template language means: values, types, fallbacks, missing values, request parameters."""

from __future__ import annotations

import math
from typing import Any

import pytest

from authserver.claims.errors import ClaimsTooLarge, MissingClaim
from authserver.claims.template import compile_template
from authserver.core.errors import InvalidRequest
from tests.claims.contexts import context, render


@pytest.mark.parametrize(
    "source",
    [
        '{ "user_id": {{ client.trusted_metadata.stytch_user_id }} }',
        '{ "user_id": {{ client.trusted_metadata.stytch_user_id }}}',
    ],
)
def test_the_seeds_template_works_as_written(source: str) -> None:
    """The published form of the template renders the user's id, with or without a space in the closing braces."""
    assert render(source, {"stytch_user_id": "user-test-1"}) == {"user_id": "user-test-1"}


@pytest.mark.parametrize(
    "value",
    ["007", "", 7, 0, -1.5, True, False, [1, "a", None], {"a": {"b": [True]}, "n": None}, 2**63, "\u202eevil", "é😀"],
)
def test_a_bare_value_keeps_its_type(value: Any) -> None:
    """CLM-08: strings, numbers, booleans, lists and objects reach the claim with their JSON type."""
    result = render('{"x": {{ client.trusted_metadata.v }}}', {"v": value})["x"]
    assert (type(result), result) == (type(value), value)


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "<a>"), (7, "<7>"), (1.5, "<1.5>"), (True, "<true>"), (False, "<false>"), (0, "<0>"), ("", "<>")],
)
def test_a_string_interpolates_plain_values(value: Any, text: str) -> None:
    """CLM-08: inside a string numbers and booleans stand as JSON writes them, never as Python does."""
    assert render('{"x": "<{{ client.trusted_metadata.v }}>"}', {"v": value}) == {"x": text}


@pytest.mark.parametrize("metadata", [{}, {"v": None}, {"v": {"a": 1}}, {"v": [1]}])
def test_a_string_with_a_missing_part_is_left_out(metadata: dict[str, Any]) -> None:
    """CLM-07: a string goes as a whole when a part is absent, null, an object or an array."""
    assert render('{"x": "id-{{ client.trusted_metadata.v }}", "y": 1}', metadata) == {"y": 1}


def test_missing_values_leave_out_what_would_hold_them() -> None:
    """CLM-07: a missing value omits its claim, member or element; nothing says None or undefined."""
    gone = "{{ client.trusted_metadata.gone }}"
    source = f'{{"a": {gone}, "b": {{"c": {gone}, "d": 1}}, "e": [1, {gone}, 2], "f": [{{"g": {gone}}}]}}'
    assert render(source) == {"b": {"d": 1}, "e": [1, 2], "f": [{}]}


def test_an_explicit_null_of_the_template_stays() -> None:
    """CLM-08: null written as plain JSON is a value like any other."""
    assert render('{"a": null, "b": [null, true, false, -1.5e3, "x"]}') == {
        "a": None,
        "b": [None, True, False, -1500, "x"],
    }


def test_fallbacks_are_tried_in_order() -> None:
    """The first value that is there wins, then the literal; false, 0 and the empty string are values."""
    source = '{"x": {{ client.trusted_metadata.a || client.trusted_metadata.b || {"plan": ["free"]} }}}'
    assert render(source, {"a": 0, "b": 1}) == {"x": 0}
    assert render(source, {"a": None, "b": ""}) == {"x": ""}
    assert render(source) == {"x": {"plan": ["free"]}}


def test_fallbacks_work_inside_a_string() -> None:
    """Quotes inside braces belong to the fallback, not to the string around it; an object falls through."""
    source = '{"x": "plan {{ client.trusted_metadata.a || client.trusted_metadata.b || "free" }}!"}'
    assert render(source, {"a": {"no": "text"}, "b": "pro"}) == {"x": "plan pro!"}
    assert render(source) == {"x": "plan free!"}


def test_a_required_value_that_is_missing_is_an_error() -> None:
    """CLM-07: `required` refuses the token and tells the operator which claim, not the caller."""
    template = compile_template('{"org": {"tenant": [{{ required client.trusted_metadata.tenant }}]}}')
    assert template.render(context({"tenant": 5})) == {"org": {"tenant": [5]}}
    with pytest.raises(MissingClaim, match=r"claim org\.tenant\[0\].*client\.trusted_metadata\.tenant") as caught:
        template.render(context())
    assert "tenant" not in caught.value.description


def test_a_required_value_inside_a_string() -> None:
    """CLM-07: `required` counts inside a string too, and for every path of a chain."""
    template = compile_template('{"x": "t-{{ required client.trusted_metadata.a || client.trusted_metadata.b }}"}')
    assert template.render(context({"b": 1})) == {"x": "t-1"}
    with pytest.raises(MissingClaim):
        template.render(context({"a": ["no text"]}))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ('client.trusted_metadata["odd key.with \\"dots\\""]', 1),
        ("client.trusted_metadata.list[1].deep-er", 2),
        ('client["trusted_metadata"]["list"][0]', "zero"),
        ("client.trusted_metadata.list[9]", None),
        ("client.trusted_metadata.list.name", None),
        ("client.trusted_metadata.text[0]", None),
        ("client.trusted_metadata.text.upper", None),
        ("client.audiences[1]", "https://b.example"),
        ("client.scope", "read write"),
        ("workspace.name", "Default"),
        ("token.sub", "c1"),
        ("token.jti", None),
    ],
)
def test_paths(path: str, expected: Any) -> None:
    """Names, odd keys and indexes are looked up; what is not there is missing, never an error."""
    metadata = {'odd key.with "dots"': 1, "list": ["zero", {"deep-er": 2}], "text": "t"}
    assert render(f'{{"x": {{{{{path}}}}}}}', metadata).get("x") == expected


@pytest.mark.parametrize(
    "value",
    ["{{7*7}}", "{{ client.client_id }}", "{{client.__class__.__mro__}}", "{0.__class__.__init__.__globals__}",
     "%(x)s", "${env:SECRET}", "#{1}", '", "sub": "root'],
)  # fmt: skip
def test_values_are_never_read_as_templates(value: str) -> None:
    """CLM-03, CLM-04: template syntax in metadata or in a request parameter stays literal text."""
    source = 'accept request.r {"x": {{ client.trusted_metadata.v }}, "y": "-{{ request.r }}-"}'
    assert render(source, {"v": value}, r=value) == {"x": value, "y": f"-{value}-"}


@pytest.mark.parametrize("text", ["{0.__class__.__init__.__globals__}", "%(x)s", "${env:SECRET}", "#{1}", "}}", "{ { "])
def test_other_template_languages_are_plain_text(text: str) -> None:
    """CLM-03: in the template itself only {{ means something."""
    assert render(f'{{"x": "{text}", "y": "{text}{{{{ client.client_id }}}}"}}') == {"x": text, "y": f"{text}c1"}


def test_braces_can_be_written_as_text() -> None:
    """CLM-03: an escape gives the two braces as text, which are then data."""
    assert render(r'{"x": "\u007b{ client.client_id }}"}') == {"x": "{{ client.client_id }}"}


def test_header_members_are_only_payload() -> None:
    """CLM-10: names of header members become payload claims; a template renders one dict and no header."""
    source = '{"kid": "k", "alg": "none", "typ": "x", "jku": "https://evil.example", "x5u": "u", "crit": ["b64"]}'
    assert render(source) == {
        "kid": "k", "alg": "none", "typ": "x", "jku": "https://evil.example", "x5u": "u", "crit": ["b64"],
    }  # fmt: skip


def test_request_parameters_are_those_declared() -> None:
    """`accept` lines name what the caller may send; what he leaves out is missing."""
    template = compile_template(
        'accept request.user_id, request.plan\naccept request.org\n{"u": {{ request.user_id }}}'
    )
    assert template.request_parameters == {"user_id", "plan", "org"}
    assert template.render(context(user_id="u1", other="x")) == {"u": "u1"}
    assert template.render({}) == {}


@pytest.mark.parametrize("value", ["x" * 257, 5, ["x"], {"a": "b"}, True])
def test_odd_request_parameters_are_refused(value: Any) -> None:
    """CLM-06: a request parameter is a string of at most 256 characters, whether its claim is rendered or not."""
    template = compile_template('accept request.plan {"p": {{ client.client_id || request.plan }}}')
    assert template.render(context(plan="x" * 256)) == {"p": "c1"}
    with pytest.raises(InvalidRequest, match="plan"):
        template.render(context(plan=value))


@pytest.mark.parametrize(
    "source", ['{"a": {{ client.trusted_metadata.v }}}', '{"a": "{{ client.trusted_metadata.v }}"}']
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "\ud800", "a\udfff"])
def test_values_that_are_no_json_are_refused(source: str, value: Any) -> None:
    """CLM-08: NaN, Infinity and lone surrogates refuse the token; the server does not fall over."""
    with pytest.raises(InvalidRequest):
        render(source, {"v": value})


def test_values_that_are_no_json_are_found_at_any_depth() -> None:
    """CLM-08: NaN beside honest nulls is found, and the operator reads which claim holds it."""
    template = compile_template('{"good": null, "bad": {{ client.trusted_metadata.v }}}')
    assert template.render(context({"v": [None, {"n": (1.5, None)}]}))
    with pytest.raises(InvalidRequest, match=r": bad$"):
        template.render(context({"v": [None, {"n": (1.5, math.nan)}]}))


@pytest.mark.parametrize(
    "value", ["x" * 4096, "x" * 1_000_000, {str(i): i for i in range(10_000)}, "é" * 2048, "\x00" * 700]
)
def test_large_claims_are_refused(value: Any) -> None:
    """CLM-06: what takes more than 4,096 bytes as JSON is refused, counted in bytes as written."""
    with pytest.raises(ClaimsTooLarge, match="bytes"):
        render('{"x": {{ client.trusted_metadata.v }}}', {"v": value})


def test_claims_may_fill_the_limit() -> None:
    """CLM-06: exactly 4,096 bytes are allowed, one more is not."""
    room = 4096 - len('{"x":""}')
    assert render('{"x": {{ client.trusted_metadata.v }}}', {"v": "x" * room})
    with pytest.raises(ClaimsTooLarge):
        render('{"x": {{ client.trusted_metadata.v }}}', {"v": "x" * (room + 1)})


def test_an_expansion_bomb_ends_at_the_limit() -> None:
    """CLM-06: a hundred holes with the largest metadata are refused, not sent."""
    hole = "{{ client.trusted_metadata.v }}"
    with pytest.raises(ClaimsTooLarge):
        render(f'{{"x": "{hole * 99}"}}', {"v": "x" * 8_000})


def test_bottomless_values_are_refused() -> None:
    """CLM-06: nesting that no metadata may have, put there behind the server's back, is refused."""
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InvalidRequest):
        render('{"x": {{ client.trusted_metadata.v }}}', {"v": value})


def test_each_rendering_is_a_dict_of_its_own() -> None:
    """CLM-01: the caller adds the registered claims to the result without changing the template."""
    template = compile_template('{"a": 1}')
    template.render({})["sub"] = "root"
    assert template.render({}) == {"a": 1}
