"""Signing keys, revocations and the status over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin.surface import KEYS, RESOURCES, REVOCATIONS, surface
from tests.administration.office import API, ISSUER

#: A `jti` of 2027-01-15, when the clock of these tests starts.
TOKEN_ID = "01a3185c-5000-7f85-ba10-9820af3d51c2"


def test_no_private_part_is_shown() -> None:
    """ADM-06: keys are listed without anything private, and exported as public keys."""
    with surface() as api:
        items = api.call("GET", KEYS).json()["items"]
        assert {item["state"] for item in items} == {"active", "next"}
        assert all("private" not in name and "jwk" not in name for item in items for name in item)
        pem = api.call("GET", f"{KEYS}/{items[0]['kid']}/pem")
        assert pem.headers["content-type"] == "application/x-pem-file"
        assert pem.text.startswith("-----BEGIN PUBLIC KEY-----")


def test_rotate() -> None:
    """A rotation lets the next key sign and retires the active one; an algorithm without keys is 404."""
    with surface() as api:
        before = {item["kid"]: item["state"] for item in api.call("GET", KEYS).json()["items"]}
        after = api.call("POST", f"{KEYS}/rotate", {}).json()["items"]
        states = {item["kid"]: item["state"] for item in after}
        assert {(before.get(kid, "-"), state) for kid, state in states.items()} == {
            ("active", "retiring"),
            ("next", "active"),
            ("-", "next"),
        }
        assert api.call("POST", f"{KEYS}/rotate", {"alg": "PS256"}).status_code == 404
        assert api.call("POST", f"{KEYS}/rotate", {"alg": "none"}).status_code == 422


def test_revoke_a_key() -> None:
    """An emergency revocation withdraws the key and sets a watermark for all that it has signed."""
    with surface() as api:
        (active,) = (item for item in api.call("GET", KEYS).json()["items"] if item["state"] == "active")
        items = api.call("POST", f"{KEYS}/{active['kid']}/revoke", {"reason": "leaked"}).json()["items"]
        assert {item["kid"]: item["state"] for item in items}[active["kid"]] == "gone"
        (entry,) = api.call("GET", REVOCATIONS).json()["items"]
        assert (entry["kind"], entry["value"], entry["reason"]) == ("kid", active["kid"], "leaked")
        assert entry["revoked_at_ms"] > 2**42  # the year 2109: a thief makes tokens of any time
        assert api.call("POST", f"{KEYS}/unknown/revoke").status_code == 404


def test_shared_keys_have_no_pem() -> None:
    """An HS256 key has no public part to export: 409."""
    with surface() as api:
        api.call("POST", RESOURCES, {"identifier": API, "signing_alg": "HS256"})
        (shared,) = (item for item in api.call("GET", KEYS).json()["items"] if item["alg"] == "HS256")
        assert api.call("GET", f"{KEYS}/{shared['kid']}/pem").status_code == 409
        assert api.call("GET", f"{KEYS}/unknown/pem").status_code == 404


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ({"kind": "client", "value": "cl_x"}, "cl_x"),
        ({"kind": "credential", "value": "cred_x"}, "cred_x"),
        ({"kind": "subject", "value": "user é"}, "user é"),
        ({"kind": "kid", "value": "k"}, "k"),
        ({"kind": "workspace", "value": "default"}, "default"),
        ({"kind": "all"}, "*"),
        ({"kind": "jti", "value": TOKEN_ID}, TOKEN_ID),
    ],
    ids=lambda value: str(value)[:30],
)
def test_revoke(body: dict[str, Any], value: str) -> None:
    """Each kind of revocation is written with its actor and recorded."""
    with surface() as api:
        response = api.call("POST", REVOCATIONS, {**body, "reason": "test"})
        entry = response.json()
        assert (response.status_code, entry["kind"], entry["value"]) == (201, body["kind"], value)
        assert (entry["actor"], entry["reason"]) == ("admin-token", "test")
        assert api.office.audit.names == ["revocation.created"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "token", "value": "x"},
        {"kind": "client"},
        {"kind": "client", "value": ""},
        {"kind": "client", "value": "x" * 513},
        {"kind": "client", "value": "a\x00b"},
        {"kind": "client", "value": 5},
        {"kind": "jti", "value": "not-a-uuid"},
        {"kind": "all", "value": "cl_x"},
        {"kind": "workspace", "value": "other"},
        {"kind": "client", "value": "x", "expires_at": 0},
        {"kind": "client", "value": "x", "revoked_at_ms": 0},
        {"kind": "client", "value": "x", "reason": "r" * 501},
    ],
    ids=lambda body: repr(body)[:40],
)
def test_refused_revocations(body: dict[str, Any]) -> None:
    """ADM-07: a revocation that is unclear is refused, above all one that would hit everything by mistake."""
    with surface() as api:
        assert api.call("POST", REVOCATIONS, body).status_code == 422
        assert api.call("GET", REVOCATIONS).json()["items"] == []


def test_status() -> None:
    """The status tells version, issuer, keys' ages and what is held."""
    with surface() as api:
        api.call("POST", REVOCATIONS, {"kind": "all"})
        status = api.call("GET", "/admin/v1/status").json()
        assert (status["issuer"], status["workspaces"], status["revocations_held"]) == (ISSUER, ["default"], 1)
        assert [key["alg"] for key in status["signing_keys"]] == ["ES256"]
