"""Clients over HTTP."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.admin.surface import CLIENTS, REVOCATIONS, Surface, surface
from tests.administration.office import API


def path_of(client: dict[str, Any]) -> str:
    """Return the path of a client."""
    return f"{CLIENTS}/{client['client_id']}"


def test_create_and_read_back() -> None:
    """A client comes back as it was written, with an ETag, and its secret only at creation."""
    metadata = {
        "client_name": "Büro 7",
        "client_description": "nightly job",
        "scope": "read write",
        "default_scope": "read",
        "audiences": [API, "urn:example:b"],
        "default_audience": "urn:example:b",
        "trusted_metadata": {"plan": None, "seats": [1, 2.5]},
        "access_token_ttl_seconds": 60,
        "token_endpoint_auth_method": "client_secret_post",
        "contacts": ["ops@example.com"],
    }
    with surface() as api:
        created = api.call("POST", CLIENTS, metadata)
        assert (created.status_code, created.headers["etag"], created.headers["cache-control"]) == (
            201,
            '"1"',
            "no-store",
        )
        shown = api.call("GET", path_of(created.json()))
        assert {name: shown.json()[name] for name in metadata} == metadata
        assert shown.headers["etag"] == '"1"'


def test_secret_is_shown_once() -> None:
    """ADM-06: no read, list, change or audit record holds the secret or its hash."""
    with surface() as api:
        client = api.new_client(scope="read")
        secret = client["client_secret"]
        answers = [
            api.call("GET", path_of(client)),
            api.call("GET", CLIENTS),
            api.call("PATCH", path_of(client), {"client_name": "m"}),
        ]
        texts = [answer.text for answer in answers] + [repr(api.office.audit.events)]
        assert not any(secret in text or "pbkdf2" in text or "secret_hash" in text for text in texts)
        assert answers[0].json()["secrets"][0]["secret_hint"] == secret[-4:]


def test_import() -> None:
    """An id and a secret from elsewhere are kept byte for byte."""
    with surface() as api:
        client = api.new_client(client_id="legacy client é", client_secret="correct horse battery")
        assert (client["client_id"], client["client_secret"]) == ("legacy client é", "correct horse battery")
        assert api.call("GET", f"{CLIENTS}/legacy%20client%20%C3%A9").json()["client_id"] == "legacy client é"


FORBIDDEN = {"is_admin": True, "client_id": "x", "secret_hash": "…", "created_at": 0, "tenant_id": 2, "version": 9}


@pytest.mark.parametrize("value", [FORBIDDEN, dict.fromkeys(FORBIDDEN)], ids=["values", "nulls"])
def test_mass_assignment(value: dict[str, Any]) -> None:
    """ADM-04: fields that nobody may set are 422, also as null, and nothing changes."""
    with surface() as api:
        client = api.new_client()
        before = api.call("GET", path_of(client)).text
        response = api.call("PATCH", path_of(client), {"client_name": "changed", **value})
        assert response.status_code == 422
        assert {error["field"] for error in response.json()["errors"]} == set(FORBIDDEN)
        assert api.call("GET", path_of(client)).text == before


def test_merge_patch() -> None:
    """RFC 7396: named fields change, null restores the default, inside `trusted_metadata` it removes a name."""
    with surface() as api:
        client = api.new_client(
            scope="a b",
            default_scope="a",
            access_token_ttl_seconds=60,
            trusted_metadata={"x": 1, "y": {"z": 2, "w": 3}},
        )
        patch = {
            "default_scope": None,
            "access_token_ttl_seconds": None,
            "trusted_metadata": {"x": None, "y": {"z": 4}},
        }
        headers = {"Content-Type": "application/merge-patch+json"}
        changed = api.call("PATCH", path_of(client), content=json.dumps(patch).encode(), headers=headers).json()
        assert (changed["default_scope"], changed["access_token_ttl_seconds"]) == (None, None)
        assert changed["trusted_metadata"] == {"y": {"z": 4, "w": 3}}
        assert (changed["scope"], changed["version"]) == ("a b", 2)


def test_required_field_cannot_be_removed() -> None:
    """RFC 7396 and ADM-15: null for a field without default is what leaving it out is at creation."""
    with surface() as api:
        response = api.call("PATCH", path_of(api.new_client()), {"client_name": None})
        assert response.json()["errors"] == [{"field": "client_name", "problem": "is required"}]


def test_two_changes_of_one_version() -> None:
    """ADM-10: of two PATCHes from the same ETag the second is 412 and loses nothing of the first."""
    with surface() as api:
        client = api.new_client()
        headers = {"If-Match": '"1"'}
        assert api.call("PATCH", path_of(client), {"client_name": "first"}, headers=headers).status_code == 200
        second = api.call("PATCH", path_of(client), {"client_name": "second"}, headers=headers)
        assert (second.status_code, second.json()["error"]) == (412, "precondition_failed")
        assert api.call("DELETE", path_of(client), headers=headers).status_code == 412
        assert api.call("GET", path_of(client)).json()["client_name"] == "first"


@pytest.mark.parametrize("if_match", ['W/"1"', "1", '"x"', '"1", "2"', '"0"', '"99999999999999999999"', ""])
def test_other_etags_never_match(if_match: str) -> None:
    """RFC 9110 §13.1.1: only one strong ETag of ours matches; anything else is 412."""
    with surface() as api:
        path = path_of(api.new_client())
        assert api.call("PATCH", path, {"client_name": "x"}, headers={"If-Match": if_match}).status_code == 412
        assert api.call("PATCH", path, {"client_name": "x"}, headers={"If-Match": "*"}).status_code == 200


def test_parallel_creates_of_one_id() -> None:
    """ADM-13: of 50 parallel creates with one id one is 201, 49 are 409."""
    with surface() as api, ThreadPoolExecutor(10) as threads:
        body = {"client_name": "n", "client_id": "same"}
        statuses = list(threads.map(lambda _: api.call("POST", CLIENTS, body).status_code, range(50)))
        assert sorted(statuses) == [201] + [409] * 49
        assert len(api.call("GET", CLIENTS).json()["items"]) == 1


def test_rotation() -> None:
    """AUTH-20: start shows a second secret, complete leaves only it, the steps out of order are 409."""
    with surface() as api:
        client = api.new_client()
        secrets = f"{path_of(client)}/secrets"
        assert api.call("POST", f"{secrets}/complete", {}).status_code == 409
        started = api.call("POST", secrets, {})
        assert (started.status_code, started.headers["cache-control"]) == (201, "no-store")
        assert api.call("POST", secrets, {}).status_code == 409
        done = api.call("POST", f"{secrets}/complete", {}).json()
        assert [secret["credential_id"] for secret in done["secrets"]] == [started.json()["credential_id"]]
        assert api.call("POST", f"{secrets}/cancel", {}).status_code == 409


def test_secret_removed_at_once() -> None:
    """AUTH-20: an emergency removal ends the secret and, by a watermark, all tokens that it obtained."""
    with surface() as api:
        client = api.new_client()
        path = f"{path_of(client)}/secrets/{client['credential_id']}"
        assert api.call("DELETE", path).status_code == 204
        assert api.call("GET", path_of(client)).json()["secrets"] == []
        (entry,) = api.call("GET", REVOCATIONS).json()["items"]
        assert (entry["kind"], entry["value"]) == ("credential", client["credential_id"])
        assert api.call("DELETE", path).status_code == 404


def test_unknown_clients() -> None:
    """Ids that name nothing, or could not, are 404."""
    with surface() as api:
        for name in ("cl_unknown", "%00", "%0a", "x" * 300, "%F0%9F%92%A9", "..", "%25"):
            assert api.call("GET", f"{CLIENTS}/{name}").status_code == 404


def audit_of(api: Surface) -> list[str]:
    """Return the audit records so far, each with its actor."""
    return [f"{name} by {fields['actor']}" for name, fields in api.office.audit.events]


def test_every_write_is_recorded_once() -> None:
    """ADM-16: each administrative write leaves one record with its actor; a read or a refusal of input none."""
    with surface() as api:
        client = api.new_client()
        api.call("GET", path_of(client))
        api.call("PATCH", path_of(client), {"client_name": "x"})
        api.call("PATCH", path_of(client), {"client_name": 1})
        api.call("POST", f"{path_of(client)}/secrets", {})
        api.call("POST", f"{path_of(client)}/secrets/cancel", {})
        api.call("DELETE", path_of(client))
        verbs = ["created", "updated", "secret_rotation_started", "secret_rotation_cancelled", "deleted"]
        assert audit_of(api) == [f"client.{verb} by admin-token" for verb in verbs]
        assert api.office.settled == len(verbs)


def test_there_is_no_way_to_touch_the_audit() -> None:
    """ADM-16: no operation of the API is about the audit."""
    with surface() as api:
        for method in ("GET", "DELETE", "PATCH", "PUT", "POST"):
            assert api.call(method, "/admin/v1/audit").status_code == 404
