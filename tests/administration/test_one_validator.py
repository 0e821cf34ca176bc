"""ADM-15: one rule for a create, an import and an update, tried with documents nobody thought of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authserver.administration.validation import merge_patch, merged, validated
from authserver.clients.registration import ClientCreate, ClientMetadata, metadata_of, register
from authserver.core.errors import ValidationFailed
from tests.administration.office import API, ROOT, Office

FIELDS = sorted(ClientMetadata.model_fields)

texts = st.sampled_from(["read", "read write", "a  b", API, "x" * 1001, "active", "iss", "\x00", ""]) | st.text(
    max_size=8
)
scalars = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
documents = st.dictionaries(st.sampled_from([*FIELDS, "client_secrets", "is_admin"]), values, max_size=4)
json_values = st.recursive(
    st.none() | scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)

BASE = {"client_name": "n"}

Outcome = Mapping[str, Any] | set[str]


class Desk:
    """An office and the event loop that it lives in, for many examples."""

    def __init__(self, office: Office, runner: asyncio.Runner) -> None:
        self._verbs = office.verbs.clients
        self._runner = runner

    def create(self, document: Mapping[str, Any]) -> Outcome:
        """Create a client; return its metadata, or the fields at fault."""
        return self._try(self._verbs.create(ROOT, {**BASE, **document}), lambda made: metadata_of(made[0]))

    def update(self, document: Mapping[str, Any]) -> Outcome:
        """Apply the document to a client that has nothing but a name; return as `create` does."""
        blank, _ = self._runner.run(self._verbs.create(ROOT, BASE))
        return self._try(self._verbs.update(ROOT, blank.client_id, document), metadata_of)

    def _try(self, attempt: Coroutine[Any, Any, Any], shown: Callable[[Any], Mapping[str, Any]]) -> Outcome:
        try:
            return shown(self._runner.run(attempt))
        except ValidationFailed as error:
            return {problem.field.split(".")[0] for problem in error.problems}


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    """Open one office for this module."""
    office = Office()
    with asyncio.Runner() as runner:
        runner.run(office.open())
        yield Desk(office, runner)
        runner.run(office.close())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=documents)
def test_a_create_and_an_update_agree(desk: Desk, document: Mapping[str, Any]) -> None:
    """ADM-15, CVE-2026-15572: an update accepts and refuses what a create does, field by field."""
    assert desk.create(document) == desk.update(document)


@settings(max_examples=200, deadline=None)
@given(document=documents)
def test_metadata_reads_back(document: Mapping[str, Any]) -> None:
    """What is accepted and shown reads back to the same client: an update changes only what it names."""
    try:
        form = validated(ClientCreate, {**BASE, **document})
    except ValidationFailed:
        return
    client = register(form, client_id="c", workspace_id="w", now_seconds=1)
    again = validated(ClientMetadata, json.loads(json.dumps(dict(metadata_of(client)))))
    assert register(again, client_id="c", workspace_id="w", now_seconds=1) == client


@given(target=json_values, patch=json_values)
def test_merge_patch_is_idempotent_and_leaves_its_input(target: Any, patch: Any) -> None:
    """RFC 7396 §2: applied twice a patch does no more than once; the target is not changed."""
    before = json.dumps(target, sort_keys=True)
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
    assert json.dumps(target, sort_keys=True) == before


RFC_7396_EXAMPLES = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC_7396_EXAMPLES)
def test_examples_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    """RFC 7396 appendix A: all examples."""
    assert merge_patch(target, patch) == result


def test_unknown_names_stay_in_a_merged_document() -> None:
    """ADM-04: null for a field that nobody knows is no way around the refusal of unknown fields."""
    with pytest.raises(ValidationFailed, match="is_admin"):
        validated(ClientMetadata, merged(BASE, {"is_admin": None}, ClientMetadata))
