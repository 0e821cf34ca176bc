"""Which `trusted_metadata` a client may carry."""

from __future__ import annotations

import math
from typing import Any

import pytest

from authserver.claims.metadata import validate_trusted_metadata
from authserver.core.errors import ValidationFailed


def _nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return {"a": value}


@pytest.mark.parametrize(
    "value",
    [{}, {"user": {"id": "u1", "sub": "x", "tags": [1, None, True, 1.5]}}, {"é \u202e": "{{7*7}}"}, _nested(15),
     {"a": "x" * (8 * 1024 - len('{"a":""}'))}, {"n": [2**64 - 1, -(2**63)]}],
)  # fmt: skip
def test_plain_objects_are_accepted(value: Any) -> None:
    """CLM-08: any small JSON object may be kept, template syntax and all types included."""
    validate_trusted_metadata(value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "object"), (None, "object"), ("{}", "object"), (1, "object"),
        ({"a": [math.nan]}, "NaN"), ({"a": {"b": math.inf}}, "NaN"), ({"a": 2**64}, "64 bits"),
        ({"a": 10**5000}, "64 bits"),
        ({"a": "\ud800"}, "surrogate"), ({"\udfff": 1}, "surrogate"), ({"a": [{"b\ud800": 1}]}, "surrogate"),
        ({"__proto__": 1}, "JavaScript"), ({"a": [{"constructor": 1}]}, "JavaScript"),
        ({"a": {"prototype": {}}}, "JavaScript"),
        ({"a": {1: 2}}, "string"), ({"a": b"x"}, "not JSON"), ({"a": {"b": object()}}, "not JSON"),
        ({"a": "x" * 8 * 1024}, "8192 bytes"), ({"a": "é" * 4 * 1024}, "8192 bytes"),
        ({"a": "x" * 1_000_000}, "8192 bytes"),
        ({str(i): i for i in range(10_000)}, "8192 bytes"), (_nested(16), "16 deep"), (_nested(100_000), "16 deep"),
        ({"exp": 1}, "registered"), ({"Sub ": 1}, "registered"), ({"token_type": 1}, "registered"),
    ],
)  # fmt: skip
def test_other_values_are_refused(value: Any, problem: str) -> None:
    """CLM-01, CLM-06, CLM-08, CLM-09: what could harm a consumer or a token is refused, in few words."""
    with pytest.raises(ValidationFailed, match=problem) as caught:
        validate_trusted_metadata(value)
    assert [fault.field for fault in caught.value.problems] == ["trusted_metadata"]
    assert len(caught.value.detail) < 200
