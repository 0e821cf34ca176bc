"""Unknown, wrong, old, missing and damaged secrets: section AUTH of the catalogue, rows 14 to 26."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus

import pytest

from tests.conformance.expectations import (
    assert_not_logged,
    assert_refused,
    assert_unauthenticated,
    assert_unavailable,
    events,
    fingerprint,
    send_large_form,
)
from tests.server import API, RunningServer, basic, claims_of, credentials

ENDPOINTS = {
    "/oauth2/token": "grant_type=client_credentials",
    "/oauth2/introspect": "token=x",
    "/oauth2/revoke": "token=x",
}
PATH = "/oauth2/token"
GRANT = ENDPOINTS[PATH]
IMPORTED = "imported-secret-0123456789"


def _execute(server: RunningServer, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Write into the server's database behind its back."""
    with contextlib.closing(sqlite3.connect(server.data_dir / "authserver.db", timeout=5)) as database, database:
        for statement, values in statements:
            database.execute(statement, values)


@contextlib.contextmanager
def _without_clients_table(server: RunningServer) -> Iterator[None]:
    """Break every look-up of a client until the block is left."""
    _execute(server, ("ALTER TABLE clients RENAME TO hidden", ()))
    try:
        yield
    finally:
        _execute(server, ("ALTER TABLE hidden RENAME TO clients", ()))


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("is_basic", [True, False])
def test_unknown_clients_look_like_wrong_secrets(server: RunningServer, path: str, is_basic: bool) -> None:  # noqa: FBT001
    """AUTH-14: status, headers and body are the same, byte for byte, by either method and at every endpoint."""
    method = "client_secret_basic" if is_basic else "client_secret_post"
    known = server.create_client(token_endpoint_auth_method=method)["client_id"]
    prints = []
    for client_id in (known, "nobody"):
        body = ENDPOINTS[path] + ("" if is_basic else f"&client_id={client_id}&client_secret=wrong")
        response = server.form(path, body, (client_id, "wrong") if is_basic else None)
        assert_unauthenticated(response, known, "nobody", "wrong", challenge=is_basic)
        prints.append(fingerprint(response))
    assert prints[0] == prints[1]


def test_a_huge_secret_is_not_hashed(server: RunningServer) -> None:
    """AUTH-16: a secret longer than any is refused before a slow derivation; beyond the caps, by the caps."""
    client = server.create_client(client_secret=IMPORTED, token_endpoint_auth_method="client_secret_post")
    body = f"{GRANT}&client_id={client['client_id']}&client_secret="
    assert _seconds(server, body + "w" * 1024) > 0.05  # what a derivation costs for a secret chosen elsewhere
    assert min(_seconds(server, body + "w" * 1025) for _ in range(3)) < 0.05
    assert_unauthenticated(server.form(PATH, body + "w" * 60_000), "www", challenge=False)
    assert_refused(send_large_form(server, PATH, body + "w" * 1_000_000), 413, "invalid_request", "www")
    huge = basic(client["client_id"], "w" * 1_000_000)
    assert_refused(send_large_form(server, PATH, GRANT, huge), 431, "invalid_request", "www")


def _seconds(server: RunningServer, body: str) -> float:
    """Return the least time of three such refusals: what it costs when nobody is in the way."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        assert_unauthenticated(server.form(PATH, body), challenge=False)
        times.append(time.perf_counter() - start)
    return min(times)


def test_a_client_without_a_secret_cannot_authenticate(server: RunningServer) -> None:
    """AUTH-18: when its last secret is removed, no secret is right: no empty one and not the old one."""
    client = server.create_client()
    client_id, secret = credentials(client)
    assert server.token_response(client).status == 200
    removed = server.admin("DELETE", f"/clients/{client_id}/secrets/{client['credential_id']}")
    assert removed.status == 204
    for attempt in ("", secret, "None"):
        assert_unauthenticated(server.form(PATH, GRANT, (client_id, attempt)))
    for field in ("&client_secret=", f"&client_secret={secret}"):
        assert_refused(server.form(PATH, f"{GRANT}&client_id={client_id}{field}"), 401, "invalid_client")


def test_a_public_client_gets_nothing(server: RunningServer) -> None:
    """AUTH-19: an id without a secret authenticates nobody, and no client can be registered for it (§4.4)."""
    client = server.create_client()
    assert_unauthenticated(server.form(PATH, f"{GRANT}&client_id={client['client_id']}"))
    for method in ("none", "private_key_jwt", "tls_client_auth"):
        body = {"client_name": "public", "audiences": [API], "token_endpoint_auth_method": method}
        assert server.admin("POST", "/clients", body).status == 422


def test_both_secrets_work_during_a_rotation(server: RunningServer) -> None:
    """AUTH-20: old and new secret work side by side, each with its own credential id; the old one is audited."""
    client = server.create_client()
    renewed = _rotate(server, client)
    assert server.token_response(renewed).status == 200
    old, new = claims_of(server.token(client)), claims_of(server.token(renewed))
    assert (old["credential_id"], new["credential_id"]) == (client["credential_id"], renewed["credential_id"])
    used = [event for event in events(server, "client_authentication.old_secret_used") if event["audit"]]
    assert [event["credential_id"] for event in used if event["client_id"] == client["client_id"]] == [
        client["credential_id"]
    ]
    assert_not_logged(server, client["client_secret"], renewed["client_secret"])


def test_only_the_new_secret_works_after_a_rotation(server: RunningServer) -> None:
    """AUTH-20: completed, the old secret is refused at once although it was right a moment ago."""
    client = server.create_client()
    renewed = _rotate(server, client)
    assert server.token_response(client).status == 200
    assert server.admin("POST", f"/clients/{client['client_id']}/secrets/complete").status == 200
    assert_unauthenticated(server.token_response(client), client["client_secret"])
    assert server.token_response(renewed).status == 200


def test_only_the_old_secret_works_after_a_cancelled_rotation(server: RunningServer) -> None:
    """AUTH-20: cancelled, the new secret is refused at once."""
    client = server.create_client()
    renewed = _rotate(server, client)
    assert server.token_response(renewed).status == 200
    assert server.admin("POST", f"/clients/{client['client_id']}/secrets/cancel").status == 200
    assert_unauthenticated(server.token_response(renewed))
    assert server.token_response(client).status == 200


def test_a_removed_secret_ends_with_all_its_tokens(server: RunningServer) -> None:
    """AUTH-20: removal in an emergency refuses the secret and its tokens at once, those of the other one not."""
    client = server.create_client()
    renewed = _rotate(server, client)
    stolen, honest = server.token(client), server.token(renewed)
    path = f"/clients/{client['client_id']}/secrets/{client['credential_id']}"
    assert server.admin("DELETE", path).status == 204
    assert_unauthenticated(server.token_response(client))
    assert server.introspect(stolen, renewed).json() == {"active": False}
    assert server.introspect(honest, renewed).json()["active"] is True
    assert claims_of(server.token(renewed))["credential_id"] == renewed["credential_id"]


def _rotate(server: RunningServer, client: Mapping[str, Any]) -> dict[str, Any]:
    """Start a rotation and return the client with its new secret."""
    response = server.admin("POST", f"/clients/{client['client_id']}/secrets")
    assert response.status == 201
    return {**client, **response.json()}


@pytest.fixture(scope="module")
def exact(server: RunningServer) -> str:
    """Return the secret of two clients whose ids have near relatives."""
    for client_id in ("c1", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"):
        server.create_client(client_id=client_id, client_secret=IMPORTED)
        assert server.form(PATH, GRANT, (quote_plus(client_id), IMPORTED)).status == 200
    return IMPORTED


@pytest.mark.parametrize(
    "client_id",
    [
        "' OR 1=1--",
        "%",
        "c_",
        "c%",
        "*",
        "C1",
        "c1 ",
        " c1",
        "c1\N{ZERO WIDTH SPACE}",
        "\N{SMALL ROMAN NUMERAL ONE HUNDRED}1",
        unicodedata.normalize("NFD", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        "CAF\N{LATIN CAPITAL LETTER E WITH ACUTE}",
    ],
)
def test_ids_match_byte_for_byte(server: RunningServer, exact: str, client_id: str) -> None:
    """AUTH-21: no SQL, no pattern, no case folding, no trimming, no normal form: only the very same id."""
    assert_unauthenticated(server.form(PATH, GRANT, (quote_plus(client_id), exact)))


def test_a_failed_look_up_is_no_refusal(server: RunningServer) -> None:
    """AUTH-25: while clients cannot be read, a cold one gets 503 and never 401; afterwards it works."""
    client = server.create_client()
    with _without_clients_table(server):
        for path, body in ENDPOINTS.items():
            start = time.perf_counter()
            assert_unavailable(server.form(path, body, credentials(client)))
            assert_unavailable(server.form(path, body, ("nobody", "nothing")))
            assert time.perf_counter() - start < 1
    assert server.token_response(client).status == 200


def test_known_clients_go_on_while_the_database_is_away(server: RunningServer) -> None:
    """AUTH-25: a secret proved before still gets a token; a wrong one gets 503, as it may be right by now."""
    client = server.create_client()
    assert server.token_response(client).status == 200
    with _without_clients_table(server):
        assert server.token_response(client).status == 200
        assert_unavailable(server.form(PATH, GRANT, (client["client_id"], "wrong")))
    assert_unauthenticated(server.form(PATH, GRANT, (client["client_id"], "wrong")))


@pytest.mark.parametrize("client_id", ["x" * 256, "x" * 8192, "é" * 128])
def test_an_id_too_long_is_unknown_without_a_look_up(server: RunningServer, client_id: str) -> None:
    """AUTH-22: an id longer than any is refused even while the database cannot be asked."""
    with _without_clients_table(server):
        assert_unauthenticated(server.form(PATH, GRANT, (quote_plus(client_id), "x")), client_id)
        body = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": "x"}
        assert_unauthenticated(server.form(PATH, body), client_id, challenge=False)
        assert_unavailable(server.form(PATH, GRANT, ("x" * 255, "x")))


@pytest.mark.parametrize(
    "damaged",
    ["", "x", "bcrypt$10$c2FsdA==$aGFzaA==", "pbkdf2-sha256$0$AA==$AA==", "pbkdf2-sha256$1000$é$é", "$$$", "\x00"],
)
def test_a_damaged_hash_refuses_one_client_and_raises_the_alarm(server: RunningServer, damaged: str) -> None:
    """AUTH-26: E401 for that client and an event for the operator; its other secret and other clients go on."""
    broken, other = server.create_client(), server.create_client()
    renewed = _rotate(server, broken)
    change = "UPDATE client_secrets SET secret_hash = ? WHERE credential_id = ?"
    _execute(server, (change, (damaged, broken["credential_id"])))
    refused = server.token_response(broken)
    assert_unauthenticated(refused, broken["client_secret"])
    assert fingerprint(refused) == fingerprint(server.form(PATH, GRANT, ("nobody", "wrong")))
    assert server.token_response(renewed).status == 200
    assert server.token_response(other).status == 200
    alarms = events(server, "client.secret_damaged")
    assert {alarm["credential_id"] for alarm in alarms if alarm["client_id"] == broken["client_id"]} == {
        broken["credential_id"]
    }
    assert {alarm["client_id"] for alarm in alarms}.isdisjoint({other["client_id"]})
