"""The token endpoint's parameters (RFC 6749 §3.2, §4.4, §5): section TOK of the catalogue."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest

from tests.conformance.expectations import (
    assert_absent,
    assert_not_logged,
    assert_refused,
    assert_unauthenticated,
    events,
    fingerprint,
    send_raw,
)
from tests.server import API, RunningServer, basic, claims_of, credentials

PATH = "/oauth2/token"
GRANT = "grant_type=client_credentials"


@pytest.fixture(scope="module")
def client(server: RunningServer) -> dict[str, Any]:
    """Return a client with the scopes `read write`, `read` by default."""
    return server.create_client(default_scope="read")


@pytest.mark.parametrize(
    "body",
    [
        f"{GRANT}&{GRANT}",
        f"{GRANT}&grant_type=",
        f"{GRANT}&scope=read&scope=admin",
        f"{GRANT}&scope=read&scope=read",
        f"{GRANT}&client_id=a&client_id=a",
        f"{GRANT}&client_secret=a&client_secret=a",
        f"{GRANT}&foo=1&foo=2",
        f"{GRANT}&foo=1&f%6Fo=2",
    ],
)
def test_a_repeated_parameter_is_refused(server: RunningServer, client: Mapping[str, Any], body: str) -> None:
    """TOK-01, TOK-02: no parameter may occur twice, known or not, equal or not (RFC 6749 §3.2)."""
    assert_refused(server.form(PATH, body, credentials(client)), 400, "invalid_request", "admin")


def test_only_resource_may_be_repeated(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-02: `resource` may occur more than once (RFC 8707 §2), and saying one thing twice is no contradiction."""
    api = quote(API, safe="")
    response = server.form(PATH, f"{GRANT}&resource={api}&resource={api}", credentials(client))
    assert response.status == 200
    assert claims_of(response.json()["access_token"])["aud"] == API


@pytest.mark.parametrize("query", ["scope=admin", GRANT, "x", f"{GRANT}&scope=read"])
def test_a_query_is_refused(server: RunningServer, client: Mapping[str, Any], query: str) -> None:
    """TOK-03: parameters belong into the body; whatever the query says is not read."""
    response = server.form(f"{PATH}?{query}", f"{GRANT}&scope=read", credentials(client))
    assert_refused(response, 400, "invalid_request", "admin")


def test_a_secret_in_the_query_is_neither_read_nor_logged(server: RunningServer) -> None:
    """TOK-04: credentials in the URL authenticate nobody and stand in no log (RFC 6749 §2.3.1)."""
    client = server.create_client(token_endpoint_auth_method="client_secret_post")
    client_id, secret = credentials(client)
    response = server.form(f"{PATH}?{GRANT}&client_id={client_id}&client_secret={secret}", "")
    assert_refused(response, 400, "invalid_request", secret, client_id)
    assert_not_logged(server, secret, "client_secret=")


@pytest.mark.parametrize("body", ["grant_type=", "", "scope=read", "grant_type=&scope=read"])
def test_an_empty_grant_type_is_a_missing_one(server: RunningServer, client: Mapping[str, Any], body: str) -> None:
    """TOK-06: a parameter without a value counts as omitted (RFC 6749 §3.2)."""
    assert_refused(server.form(PATH, body, credentials(client)), 400, "invalid_request")


@pytest.mark.parametrize(
    "grant_type",
    [
        "x%22%5C%C3%A9",
        "password",
        "authorization_code",
        "refresh_token",
        "Client_Credentials",
        "client_credentials%20",
        "client_credentials%00",
        "x%0D%0ASet-Cookie:a=b",
    ],
)
def test_an_unknown_grant_type_is_unsupported(
    server: RunningServer, client: Mapping[str, Any], grant_type: str
) -> None:
    """TOK-07: any other grant type is unsupported, and what was sent is not repeated."""
    response = server.form(PATH, f"grant_type={grant_type}", credentials(client))
    assert_refused(response, 400, "unsupported_grant_type", "Client_Credentials", "Set-Cookie", "password")
    assert "set-cookie" not in response.headers


def test_get_is_not_allowed(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-08: a token is not to be had by GET."""
    response = server.get(f"{PATH}?{GRANT}", {"Authorization": basic(*credentials(client))})
    assert_refused(response, 405, "invalid_request")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "HEAD", "PROPFIND"])
def test_no_other_method_is_allowed(server: RunningServer, client: Mapping[str, Any], method: str) -> None:
    """TOK-09: POST is the only method, and TRACE reflects nothing."""
    response = server.request(method, PATH, None, {"Authorization": basic(*credentials(client))})
    assert response.status == 405
    assert response.headers["allow"] == "POST"
    assert_absent(response, client["client_secret"], "Authorization")


def test_an_unknown_method_is_refused(server: RunningServer) -> None:
    """TOK-09: a method that HTTP does not have is refused by the parser or as not allowed."""
    response = send_raw(server, b"FOO /oauth2/token HTTP/1.1\r\nHost: as.example\r\n\r\n")
    assert response.status in {400, 405}
    assert response.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "scope",
    ["read%22write", "read%09write", "read%0A", "r%C3%A9ad", "read%5C", "%20read", "read%20%20write", "read%20", "%7F"],
)
def test_a_malformed_scope_is_refused(server: RunningServer, client: Mapping[str, Any], scope: str) -> None:
    """TOK-20: a scope has the characters of RFC 6749 §3.3 and single spaces, nothing else."""
    assert_refused(server.form(PATH, f"{GRANT}&scope={scope}", credentials(client)), 400, "invalid_scope", "read")


@pytest.mark.parametrize("scope", ["read admin", "admin", "read write admin", "READ", "openid", "read,write", "*"])
def test_more_than_was_granted_is_refused(server: RunningServer, client: Mapping[str, Any], scope: str) -> None:
    """TOK-21: a scope beyond the grant is an error, never a token with less than was asked for."""
    response = server.token_response(client, scope=scope)
    assert_refused(response, 400, "invalid_scope", scope)


def test_without_a_scope_the_client_gets_its_default(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-22: no scope asked for gives the configured default, said in the answer and in the token."""
    body = server.token_response(client).json()
    assert body["scope"] == claims_of(body["access_token"])["scope"] == "read"
    emptied = server.token_response(client, scope="").json()
    assert emptied["scope"] == "read"


def test_a_client_without_scopes_gets_none(server: RunningServer) -> None:
    """TOK-22: nothing granted means a token without scope, never one with all."""
    body = server.token_response(server.create_client(scope="")).json()
    assert "scope" not in body
    assert "scope" not in claims_of(body["access_token"])


def test_a_client_without_the_grant_is_unauthorized(server: RunningServer) -> None:
    """TOK-24: a client that is not registered for the grant does not get it (here by its row in the database)."""
    client = server.create_client()
    change = "UPDATE clients SET grant_types = '[]' WHERE client_id = ?"
    with contextlib.closing(sqlite3.connect(server.data_dir / "authserver.db")) as database, database:
        database.execute(change, (client["client_id"],))
    assert_refused(server.token_response(client), 400, "unauthorized_client")


@pytest.mark.parametrize("fate", ["disabled", "deleted", "expired"])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_client_that_may_not_looks_like_a_wrong_secret(server: RunningServer, fate: str, is_known: bool) -> None:  # noqa: FBT001
    """TOK-25: disabled, deleted and expired clients get what a wrong secret gets, cached or not."""
    client = server.create_client()
    wrong = server.form(PATH, GRANT, (client["client_id"], "wrong"))
    if is_known and fate != "expired":
        assert server.token_response(client).status == 200
    if fate == "disabled":
        assert server.admin("PATCH", f"/clients/{client['client_id']}", {"status": "disabled"}).status == 200
    elif fate == "deleted":
        assert server.admin("DELETE", f"/clients/{client['client_id']}").status == 204
    else:
        _expire(server, client["client_id"])
    refused = server.token_response(client)
    assert_unauthenticated(refused, client["client_id"], client["client_secret"])
    assert fingerprint(refused) == fingerprint(wrong)


def _expire(server: RunningServer, client_id: str) -> None:
    change = "UPDATE client_secrets SET expires_at = 1700000000 WHERE client_id = ?"
    with contextlib.closing(sqlite3.connect(server.data_dir / "authserver.db")) as database, database:
        database.execute(change, (client_id,))
    assert server.admin("PATCH", f"/clients/{client_id}", {"client_name": "changed"}).status == 200


def test_a_token_response_says_all_and_is_not_stored(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-26: no refresh token, `expires_in` as in the token, an hour by default, kept by no cache (§4.4.3, §5.1)."""
    response = server.token_response(client)
    body = response.json()
    assert set(body) == {"access_token", "token_type", "expires_in", "scope"}
    claims = claims_of(body["access_token"])
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == claims["exp"] - claims["iat"] == 3600
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"


def test_unknown_parameters_do_not_enter_the_token(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-27: what no specification defines is ignored (§3.2), also under the name of a claim."""
    plain = claims_of(server.token(client))
    more = {"foo": "bar", "aud": "https://x", "exp": "9999999999", "sub": "root", "iss": "x", "user_id": "root"}
    claims = claims_of(server.token(client, **more))
    assert set(claims) == set(plain)
    assert [claims[name] for name in ("aud", "sub", "iss")] == [plain[name] for name in ("aud", "sub", "iss")]
    assert claims["exp"] - claims["iat"] == 3600


def test_a_semicolon_separates_nothing(server: RunningServer, client: Mapping[str, Any]) -> None:
    """TOK-28: `;` is a character of the value, not a separator."""
    response = server.form(PATH, f"{GRANT};scope=admin", credentials(client))
    assert_refused(response, 400, "unsupported_grant_type", "admin")


def test_refusals_are_logged_with_their_reason_and_nothing_else(
    server: RunningServer, client: Mapping[str, Any]
) -> None:
    """U3, U4: a refused request leaves a line with its request id and reason; no secret, no token, no traceback."""
    refused = server.form(PATH, f"{GRANT}&scope=admin", credentials(client))
    token = server.token(client)
    (line,) = [e for e in events(server, "request") if e["request_id"] == refused.json()["request_id"]]
    assert line["status"] == 400
    assert "exceeds" in line["reason"]
    assert refused.headers["x-request-id"] == refused.json()["request_id"]
    assert_not_logged(server, client["client_secret"], basic(*credentials(client))[6:], token, token.split(".")[2])
