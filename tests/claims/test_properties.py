"""What holds for every template and for all metadata."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from authserver.claims.errors import MissingClaim
from authserver.claims.metadata import validate_trusted_metadata
from authserver.claims.template import compile_template
from authserver.core.errors import InvalidRequest, ValidationFailed
from tests.claims.contexts import context

_PIECES = st.sampled_from([
    "{", "}", "{{", "}}", "[", "]", '"', ":", ",", "||", ".", " ", "\n", "\\", "\\u", "accept ", "request.a",
    "required ", '"a"', '"sub"', "client", "client.client_id", "client.trusted_metadata", ".v", "[0]", '["k"]',
    "null", "NaN", "-1e9", "{{ client.client_id }}", '"x{{ client.trusted_metadata.v }}"', '"a":', '{"a": ', "é",
    "\ud800", "\x00",
])  # fmt: skip
_SOURCES = st.one_of(
    st.text(),
    st.lists(_PIECES, max_size=20).map("".join),
    st.lists(_PIECES, max_size=6).map(lambda pieces: f'{{"a": {"".join(pieces)}}}'),
)
_TEXT = st.text(st.characters(codec=None), max_size=20)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_TEXT, inner, max_size=5),
    max_leaves=20,
)
_TEMPLATE = compile_template(
    'accept request.r {"bare": {{ client.trusted_metadata.v }}, "r": {{ request.r }},'
    ' "text": "<{{ client.trusted_metadata.v || request.r }}>", "all": {{ client.trusted_metadata }},'
    ' "deep": [{{ client.trusted_metadata.v.a[0] }}]}'
)


@given(source=_SOURCES)
def test_any_source_compiles_or_is_refused(source: str) -> None:
    """CLM-03, CLM-06: whatever is saved either renders plain JSON or is refused with a reason; nothing else."""
    try:
        claims = compile_template(source).render(context({"v": 1}))
    except (ValidationFailed, MissingClaim):
        return
    assert json.loads(json.dumps(claims, allow_nan=False)) == claims


@given(value=_JSON, request=_JSON)
def test_any_metadata_renders_or_is_refused(value: Any, request: Any) -> None:
    """CLM-04, CLM-08: whatever values a token is rendered from, the claims are JSON that keeps them as they are."""
    try:
        claims = _TEMPLATE.render(context({"v": value}, r=request))
    except InvalidRequest:
        return
    assert claims.get("bare") == value
    assert json.loads(json.dumps(claims, allow_nan=False).encode()) == claims
    json.dumps(claims, ensure_ascii=False).encode()


@given(value=_JSON)
def test_accepted_metadata_is_always_json(value: Any) -> None:
    """CLM-08: what a client may carry survives being written and read."""
    try:
        validate_trusted_metadata({"v": value})
    except ValidationFailed:
        return
    assert json.loads(json.dumps({"v": value}, allow_nan=False, ensure_ascii=False).encode()) == {"v": value}
