"""Whatever is sent, the management API never answers with a 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authserver.admin.operation import Operation
from authserver.admin.routes import OPERATIONS
from tests.admin.surface import Surface, surface
from tests.administration.office import API

FIELDS = sorted({name for o in OPERATIONS if o.description.request for name in o.description.request.model_fields})

texts = st.text(max_size=30) | st.sampled_from(
    [API, "client", "all", "HS256", "read", '{"a": {{ client.client_id }}}', "\x00"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
bodies = st.dictionaries(st.sampled_from(FIELDS) | texts, values, max_size=6) | values
raw_bodies = bodies.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=200)
queries = st.dictionaries(st.sampled_from(["limit", "after", "resource"]) | texts, texts, max_size=3)
path_values = st.text(max_size=20, alphabet=st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["known", "res_admin"]
)


@pytest.fixture(scope="module")
def api() -> Iterator[Surface]:
    """Keep one API, with a client in it, for all examples."""
    with surface() as opened:
        opened.new_client(client_id="known")
        yield opened


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operation=st.sampled_from(OPERATIONS),
    body=raw_bodies,
    query=queries,
    path_value=path_values,
    if_match=st.none() | st.binary(max_size=8).filter(lambda value: not set(value) & set(b"\r\n\x00")),
)
def test_never_a_server_error(
    *, api: Surface, operation: Operation, body: bytes, query: dict[str, Any], path_value: str, if_match: bytes | None
) -> None:
    """U1, U2: random JSON and bytes to every operation give a result or problem details in ASCII, never a 5xx."""
    path = operation.description.path
    for name in ("client_id", "credential_id", "resource_id", "kid"):
        path = path.replace(f"{{{name}}}", _quoted(path_value))
    headers: dict[str, Any] = {"Content-Type": "application/json"}
    if if_match is not None:
        headers["If-Match"] = if_match
    params = {name.encode("utf-8", "replace"): value.encode("utf-8", "replace") for name, value in query.items()}
    response = api.call(operation.description.method, path, content=body, params=params, headers=headers)
    assert response.status_code < 500
    if response.status_code >= 400 and response.headers["content-type"] == "application/problem+json":
        assert response.text.isascii()
        assert response.json()["status"] == response.status_code


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())
