"""What the management API reads as a body, and what it refuses."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from authserver.admin.body import MalformedBody, parse_json
from tests.admin.surface import CLIENTS, REVOCATIONS, surface

GOOD = {"client_name": "n"}
JSON_TYPE = "application/json"


Post = Callable[..., Any]


@pytest.fixture(scope="module")
def post() -> Iterator[Post]:
    """Send raw bytes as a new client and return the response; a refusal must store nothing."""
    with surface() as api:

        def send(body: bytes, content_type: str | None = JSON_TYPE) -> Any:
            before = len(api.call("GET", CLIENTS).json()["items"])
            headers = {} if content_type is None else {"Content-Type": content_type}
            response = api.call("POST", CLIENTS, content=body, headers=headers)
            after = len(api.call("GET", CLIENTS).json()["items"])
            assert after - before == (response.status_code == 201)
            return response

        yield send


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"client_name": "n",}',
        b'{"client_name": "n"} x',
        b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
        json.dumps(GOOD).encode("utf-16"),
        b'{"client_name": "\xff"}',
        b'{"client_name": "a", "client_name": "b"}',
        b'{"client_name": "n", "trusted_metadata": {"a": 1, "a": 2}}',
        b'{"client_name": "n", "trusted_metadata": {"a": NaN}}',
        b'{"client_name": "n", "trusted_metadata": {"a": -Infinity}}',
        b'{"client_name": "n", "trusted_metadata": {"a": 1e999}}',
        b'{"client_name": "\\ud800"}',
        b'{"client_name": "n", "trusted_metadata": {"\\udfff": 1}}',
        b'{"client_name": "n", "access_token_ttl_seconds": ' + b"9" * 5000 + b"}",
        b'{"client_name": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"a":' * 65 + b"1" + b"}" * 65,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_malformed_json(post: Post, body: bytes) -> None:
    """ADM-08, HTTP-13: broken JSON, UTF-16, a BOM, repeated names, NaN, half characters and depth are 400."""
    response = post(body)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null", b"true", b"[{}]"])
def test_wrong_top_level(post: Post, body: bytes) -> None:
    """HTTP-13: JSON that is no object is 422."""
    response = post(body)
    assert response.status_code == 422
    assert response.json()["errors"] == [{"field": "body", "problem": "must be a JSON object"}]


def test_deep_nesting_is_cheap(post: Post) -> None:
    """JOSE-04: 60,000 opening brackets are refused in under 20 ms, without a RecursionError."""
    body = b"[" * 60_000
    seconds = []
    for _ in range(5):
        started = time.process_time()
        with pytest.raises(MalformedBody):
            parse_json(body)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.02
    assert post(b"[" * 200_000).status_code == 413


def test_limit_of_64_levels() -> None:
    """ADM-08: 64 levels are read, 65 are not."""
    assert parse_json(b"[" * 64 + b"]" * 64)
    with pytest.raises(MalformedBody):
        parse_json(b"[" * 65 + b"]" * 65)


def test_large_body(post: Post) -> None:
    """A body above 64 KB is 413."""
    body = json.dumps({**GOOD, "client_description": "x" * 70_000}).encode()
    assert post(body).status_code == 413


@pytest.mark.parametrize(
    "content_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx"],
)
def test_other_content_types(post: Post, content_type: str | None) -> None:
    """ADM-14: JSON under a type that a browser form can send is 415 and nothing happens."""
    assert post(json.dumps(GOOD).encode(), content_type).status_code == 415


def test_other_charset_and_two_types(post: Post) -> None:
    """TOK-13, TOK-14 for JSON: another charset, or two types, is 415."""
    assert post(json.dumps(GOOD).encode(), "application/json; charset=utf-16").status_code == 415
    with surface() as api:
        headers = [("Content-Type", JSON_TYPE), ("Content-Type", "text/plain")]
        token = [("Authorization", "Bearer an admin token of 32 characters or more")]
        response = api.http.post(CLIENTS, content=json.dumps(GOOD).encode(), headers=headers + token)
        assert response.status_code == 415


def test_utf8_charset_and_content_coding(post: Post) -> None:
    """A charset of UTF-8 is accepted; HTTP-08: a content coding is 415."""
    assert post(json.dumps(GOOD).encode(), "application/json; charset=UTF-8").status_code == 201
    with surface() as api:
        headers = {"Content-Type": JSON_TYPE, "Content-Encoding": "gzip"}
        assert api.call("POST", CLIENTS, content=b"{}", headers=headers).status_code == 415


def test_empty_body_is_an_empty_object() -> None:
    """An operation without required fields may be called without a body."""
    with surface() as api:
        client = api.new_client()
        path = f"{CLIENTS}/{client['client_id']}/secrets"
        assert api.call("POST", path).status_code == 201
        assert api.call("POST", REVOCATIONS).status_code == 422


WRONG_TYPES = [
    ("scope", ["admin"]),
    ("scope", 'a"b'),
    ("scope", "a  b"),
    ("scope", "é"),
    ("scopes", "admin"),
    *[("access_token_ttl_seconds", value) for value in (-1, 0, 59, 1e9, 86_401, 2**63, True, "60", 60.0, [60])],
    ("client_name", ""),
    ("client_name", 7),
    ("client_name", "a\nb"),
    ("client_name", None),
    ("audiences", API := "https://api.example"),
    ("audiences", [f"{API}#f"]),
    ("audiences", ["api"]),
    ("audiences", [API, API]),
    ("audiences", ["https://user@api.example"]),
    ("audiences", [f"https://api.example/{i}" for i in range(51)]),
    ("default_audience", API),
    ("default_scope", "admin"),
    ("trusted_metadata", []),
    ("trusted_metadata", "{}"),
    ("trusted_metadata", {"exp": 1}),
    ("token_endpoint_auth_method", "none"),
    ("token_endpoint_auth_method", 1),
    ("grant_types", ["authorization_code"]),
    ("grant_types", []),
    ("status", "deleted"),
    ("client_uri", "javascript:alert(1)"),
    ("contacts", "a@b.example"),
    ("client_id", "a/b"),
    ("client_id", "a\\b"),
    ("client_id", ".."),
    ("client_id", " a"),
    ("client_id", "a\x00b"),
    ("client_id", "x" * 256),
    ("client_id", ""),
    ("client_secret", "hunter2"),
    ("client_secret", "a" * 40),
    ("client_secret", "0123456789abcdef\n"),
    ("client_secret", "0123456789abcdef" * 65),
]


@pytest.mark.parametrize(("field", "value"), WRONG_TYPES, ids=lambda value: repr(value)[:30])
def test_wrong_types_and_values(post: Post, field: str, value: object) -> None:
    """ADM-07: a wrong type or value is 422, names its field and never repeats the value."""
    response = post(json.dumps({**GOOD, "scope": "read", field: value}).encode())
    assert response.status_code == 422, response.text
    (problem,) = response.json()["errors"]
    assert problem["field"].split(".")[0] == field
    assert not (isinstance(value, str) and value in problem["problem"].split())


@pytest.mark.parametrize(
    "metadata",
    [
        {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}},
        {"jwks": {"keys": [{"kty": "EC", "d": "private"}]}},
        {"jwks": {"keys": []}, "jwks_uri": "https://c.example/jwks"},
        {"jwks_uri": "http://c.example/jwks"},
    ],
)
def test_client_keys_are_refused(post: Post, metadata: dict[str, Any]) -> None:
    """ADM-12: `jwks` and `jwks_uri` are unknown while no method uses them, so nothing private is ever stored."""
    response = post(json.dumps({**GOOD, **metadata}).encode())
    assert response.status_code == 422
    assert {error["field"] for error in response.json()["errors"]} == set(metadata)
    assert "c2VjcmV0" not in response.text


def test_all_problems_at_once(post: Post) -> None:
    """RFC 9457: one answer names every field at fault."""
    response = post(json.dumps({"client_name": 1, "status": "x", "is_admin": True}).encode())
    assert {error["field"] for error in response.json()["errors"]} == {"client_name", "status", "is_admin"}


def test_unknown_names_are_not_repeated_when_odd(post: Post) -> None:
    """U2: a name that looks like no field is not echoed."""
    response = post(json.dumps({**GOOD, "<script>": 1, "cs_0A1b2C3d": 2}).encode())
    assert {error["field"] for error in response.json()["errors"]} == {"…"}
