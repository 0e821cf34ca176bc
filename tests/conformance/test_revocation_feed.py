"""The revocation feed: snapshot, cursor, long-poll, the keys that are published, and who may read it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.redis_server import wait_for
from tests.server import RunningServer, basic, credentials, start_server

ORDERS = "https://orders.example.com"
FEED = "/oauth2/revocations"
JWKS = "/.well-known/jwks.json"


@pytest.fixture(scope="module")
def reader(server: RunningServer) -> dict[str, Any]:
    """Return a client that is resource server of the orders API."""
    client = server.create_client(client_name="orders service")
    server.create_resource(ORDERS, resource_servers=[client["client_id"]])
    return client


def poll(server: RunningServer, client: Mapping[str, Any], query: str = "") -> Any:
    """Return the feed's answer for a query such as `?after=…`."""
    response = server.get(FEED + query, {"Authorization": basic(*credentials(client))})
    assert response.status == 200, response.body
    assert response.headers["cache-control"] == "no-store"
    return response.json()


def values(page: Mapping[str, Any]) -> list[str]:
    """Return the values of the entries."""
    return [entry["value"] for entry in page["entries"]]


def test_a_first_read_is_a_snapshot_of_everything(server: RunningServer, reader: dict[str, Any]) -> None:
    """Without a cursor the feed starts with everything that is revoked, and says until when it knows all."""
    server.admin("POST", "/revocations", {"kind": "subject", "value": "snapshot-user"})
    before = time.time()
    page = poll(server, reader)
    assert page["snapshot"] is True
    assert "snapshot-user" in values(page)
    assert before - 1 <= page["as_of"] <= time.time() + 0.1


def test_a_cursor_brings_only_what_is_new(server: RunningServer, reader: dict[str, Any]) -> None:
    """After a cursor come the later entries in their order, with what a verifier needs of them."""
    cursor = poll(server, reader)["cursor"]
    client = server.create_client(audiences=[ORDERS])
    token = server.token(client)
    server.revoke(token, client)
    server.admin("POST", "/revocations", {"kind": "client", "value": client["client_id"]})
    page = poll(server, reader, f"?after={cursor}")
    assert (page["snapshot"], page["more"]) == (False, False)
    assert [entry["kind"] for entry in page["entries"]] == ["jti", "client"]
    assert page["entries"][0]["expires_at"] > time.time()
    assert poll(server, reader, f"?after={page['cursor']}")["entries"] == []


def test_a_waiting_reader_hears_of_a_revocation_at_once(server: RunningServer, reader: dict[str, Any]) -> None:
    """A long-poll is answered by the revocation, not by the end of the wait."""
    cursor = poll(server, reader)["cursor"]
    timer = threading.Timer(
        0.3, lambda: server.admin("POST", "/revocations", {"kind": "subject", "value": "waited-for"})
    )
    started = time.monotonic()
    timer.start()
    page = poll(server, reader, f"?after={cursor}&wait=10")
    assert values(page) == ["waited-for"]
    assert 0.25 < time.monotonic() - started < 5


def test_a_wait_without_news_ends_by_itself(server: RunningServer, reader: dict[str, Any]) -> None:
    """After `wait` seconds the answer is empty: a later `as_of`, the same cursor, and how long it has waited."""
    first = poll(server, reader)
    started = time.monotonic()
    page = poll(server, reader, f"?after={first['cursor']}&wait=1")
    assert (page["cursor"], page["entries"]) == (first["cursor"], [])
    assert page["as_of"] >= first["as_of"] + 0.4  # each as old as the last look at the database
    assert -1_000 <= first["known_after_ms"] <= 0
    assert 500 <= page["known_after_ms"] <= (time.monotonic() - started) * 1_000


def test_many_waiting_readers_are_all_told(server: RunningServer, reader: dict[str, Any]) -> None:
    """Fifty long-polls at once get the same entry."""
    cursor = poll(server, reader)["cursor"]
    heard: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: heard.append(values(poll(server, reader, f"?after={cursor}&wait=10"))))
        for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    server.admin("POST", "/revocations", {"kind": "subject", "value": "for-all"})
    for thread in threads:
        thread.join()
    assert heard == [["for-all"]] * 50


def rotate(server: RunningServer) -> None:
    """Publish another key set."""
    assert server.admin("POST", "/signing-keys/rotate", {"alg": "ES256", "force": True}).status == 200


def test_each_answer_names_the_published_keys(server: RunningServer, reader: dict[str, Any]) -> None:
    """`jwks` is the start of the SHA-256 of the JWK Set as it is served, and changes with it alone."""
    first = poll(server, reader)
    assert first["jwks"] == sha256(server.get(JWKS).body).hexdigest()[:16]
    server.admin("POST", "/revocations", {"kind": "subject", "value": "no-key"})
    assert poll(server, reader, f"?after={first['cursor']}")["jwks"] == first["jwks"]
    rotate(server)
    second = poll(server, reader, f"?after={first['cursor']}")
    assert second["jwks"] == sha256(server.get(JWKS).body).hexdigest()[:16] != first["jwks"]


def test_waiting_readers_hear_of_new_keys_at_once(server: RunningServer, reader: dict[str, Any]) -> None:
    """A rotation ends every wait, whether or not the reader has said which keys it has; there are no entries."""
    first = poll(server, reader)
    query = f"?after={first['cursor']}&wait=60"
    pages: list[Any] = []
    threads = [
        threading.Thread(target=lambda said=said: pages.append(poll(server, reader, query + said)))
        for said in ("", f"&jwks={first['jwks']}") * 10
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while len(pages) < len(threads) and time.monotonic() < deadline:
        threads[0].join(0.3)  # let them all wait; who came too late for a rotation hears of the next one
        rotate(server)
    assert len(pages) == len(threads)
    assert first["jwks"] not in {page["jwks"] for page in pages}
    assert {(page["cursor"], page["snapshot"], len(page["entries"])) for page in pages} == {(first["cursor"], False, 0)}


@pytest.mark.parametrize("held", ["0123456789abcdef", "x", "%C3%A9"])
def test_a_reader_with_other_keys_does_not_wait(server: RunningServer, reader: dict[str, Any], held: str) -> None:
    """A rotation between two polls is not missed: the answer to another digest than the present comes at once."""
    first = poll(server, reader)
    started = time.monotonic()
    page = poll(server, reader, f"?after={first['cursor']}&jwks={held}&wait=30")
    assert time.monotonic() - started < 10
    assert (page["entries"], page["jwks"]) == ([], first["jwks"])


def test_a_reader_with_the_present_keys_waits(server: RunningServer, reader: dict[str, Any]) -> None:
    """The digest of the last answer does not end a wait."""
    first = poll(server, reader)
    page = poll(server, reader, f"?after={first['cursor']}&jwks={first['jwks']}&wait=1")
    assert page["as_of"] >= first["as_of"] + 0.4


def test_a_rotation_wakes_the_readers_of_another_instance(tmp_path: Path) -> None:
    """A reader that waits at one instance hears of keys made by another one, which publishes the same bytes."""
    issuer = "http://127.0.0.1:8000"
    with (
        start_server(tmp_path, AUTHSERVER_ISSUER=issuer) as a,
        start_server(tmp_path, AUTHSERVER_ISSUER=issuer) as b,
    ):
        client = a.create_client()
        a.create_resource(ORDERS, resource_servers=[client["client_id"]])
        authorization = {"Authorization": basic(*credentials(client))}
        wait_for(lambda: b.get(FEED, authorization).status == 200, "the client to be known to the other instance")
        first = poll(b, client)
        timer = threading.Timer(0.5, rotate, [a])
        started = time.monotonic()
        timer.start()
        page = poll(b, client, f"?after={first['cursor']}&jwks={first['jwks']}&wait=30")
        assert 0.4 < time.monotonic() - started < 10
        assert page["jwks"] == poll(a, client)["jwks"] != first["jwks"]
        assert b.get(JWKS).body == a.get(JWKS).body


@pytest.mark.parametrize("cursor", ["nonsense", "0123456789abcdef.5", "", "999999999", "a.b.c"])
def test_an_unknown_cursor_starts_anew(server: RunningServer, reader: dict[str, Any], cursor: str) -> None:
    """A cursor of another database, or of none, is answered by a snapshot and never by silence."""
    assert poll(server, reader, f"?after={cursor}")["snapshot"] is True


def test_a_cursor_ahead_of_the_database_starts_anew(server: RunningServer, reader: dict[str, Any]) -> None:
    """A database that was restored from a backup knows less than its readers: they start anew."""
    epoch = poll(server, reader)["epoch"]
    assert poll(server, reader, f"?after={epoch}.999999")["snapshot"] is True


def test_only_resource_servers_may_read(server: RunningServer, reader: dict[str, Any]) -> None:
    """Another client gets 403, nobody 401, and neither learns an entry."""
    other = server.create_client()
    refused = server.get(FEED, {"Authorization": basic(*credentials(other))})
    assert (refused.status, refused.json()["error"]) == (403, "access_denied")
    anonymous = server.get(FEED)
    assert (anonymous.status, anonymous.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    "query",
    [
        *("?wait=-1", "?wait=61", "?wait=0000009999999", "?wait=x", "?wait=1&wait=1", "?wait=1&wait="),
        *("?token=x", "?after=" + "x" * 300, "?jwks=a&jwks=b", "?jwks=%ff"),
    ],
)
def test_a_malformed_query_is_refused(server: RunningServer, reader: dict[str, Any], query: str) -> None:
    """Unknown, repeated, oversized and senseless parameters are invalid_request."""
    response = server.get(FEED + query, {"Authorization": basic(*credentials(reader))})
    assert (response.status, response.json()["error"]) == (400, "invalid_request")
