"""kill -9 between two steps of a request, and at any moment: what was answered holds, the rest can be repeated."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.crashes import CrashSeries
from tests.faults.databases import DATABASES, SqliteDatabase
from tests.faults.deployment import Deployment, start_deployment
from tests.faults.moments import (
    Executioner,
    Moment,
    after_announcement,
    after_beacon,
    after_commit,
    before_announcement,
    before_beacon,
    before_commit,
    before_database,
    reaches,
)
from tests.faults.nursery import Nursery, open_nursery
from tests.redis_server import wait_for
from tests.server import API, RunningServer, claims_of

IS_LONG = os.environ.get("FAULTS") == "long"
REVOCATIONS = 200 if IS_LONG else 2
CHANGES = 20 if IS_LONG else 1
ROUNDS_ON_SQLITE, ROUNDS_ON_POSTGRESQL = (1000, 1000) if IS_LONG else (40, 30)

#: By when the survivors know what was committed and not told to them.
SOON_SECONDS = 1.0

REVOKE = [
    before_database(1),
    before_commit(1),
    after_commit(1),
    before_beacon(1, writes=1),
    after_beacon(1, writes=1),
]
CHANGE = [
    before_database(1),
    before_commit(1),
    after_commit(1),
    before_announcement(writes=1),
    after_announcement(writes=1),
]
#: A watermark, the deletion, the watermark once more.
DELETE = [
    before_database(1),
    before_commit(1),
    after_commit(1),
    before_beacon(1, writes=1),
    before_commit(2),
    after_commit(2),
    before_commit(3),
    after_commit(3),
    after_beacon(2, writes=3),
    before_announcement(writes=3),
]


def each(moments: list[Moment]) -> pytest.MarkDecorator:
    """Return the moments as parameters, with their names."""
    return pytest.mark.parametrize("moment", moments, ids=lambda moment: moment.name.replace(" ", "-"))


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Yield what starts the instances that are killed."""
    with open_nursery() as nursery:
        yield nursery


@pytest.fixture(scope="module", params=DATABASES)
def survivors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Yield two instances that live on."""
    with start_deployment(tmp_path_factory.mktemp("survivors"), database=request.param) as deployment:
        deployment.a.create_resource(API, resource_servers=[deployment.client["client_id"]])
        yield deployment


@pytest.fixture
def executioner(survivors: Deployment, nursery: Nursery, moment: Moment) -> Executioner:
    """Return what kills a third one; skip a moment that the database does not have."""
    if not reaches(survivors.database, moment):
        pytest.skip("a file has no network that could hold a message")
    return Executioner(survivors, nursery)


@each(REVOKE)
def test_crash_01_in_a_revocation(survivors: Deployment, executioner: Executioner, moment: Moment) -> None:
    """CRASH-01: whatever was stored is in force soon, and a retry anywhere is in force everywhere at once."""
    d = survivors
    for number in range(REVOCATIONS):
        token = d.a.token(d.client)
        executioner.kill_at(moment, lambda server, token=token: server.revoke(token, d.client))  # type: ignore[misc]
        assert is_stored(d, token) is bool(moment.writes)
        if moment.writes and number % 2:
            wait_for(lambda token=token: d.is_active(d.b, token) is False, "a survivor to know", SOON_SECONDS)  # type: ignore[misc]
        if not moment.writes:
            assert d.is_active(d.a, token) is d.is_active(d.b, token) is True
        assert d.b.revoke(token, d.client).status == 200
        assert d.is_active(d.a, token) is False
        assert d.is_active(d.b, token) is False


def is_stored(d: Deployment, token: str) -> bool:
    """Look for a revocation in the database."""
    return d.database.rows(f"SELECT count(*) FROM revocations WHERE value = '{claims_of(token)['jti']}'") == [("1",)]  # noqa: S608 - a jti


@each(CHANGE)
def test_crash_02_in_a_secret_rotation(survivors: Deployment, executioner: Executioner, moment: Moment) -> None:
    """CRASH-02: after the start one secret or two, after the completion the old or the new: each verb can follow."""
    d = survivors
    for _ in range(CHANGES):
        client = d.a.create_client()
        path = f"/clients/{client['client_id']}/secrets"
        executioner.kill_at(moment, lambda server, path=path: server.admin("POST", path))  # type: ignore[misc]
        assert len(secrets_of(d, client)) == 1 + moment.writes
        assert works(d, client, client["client_secret"])
        assert d.b.admin("POST", f"{path}/cancel").status == (200 if moment.writes else 409)
        assert secrets_of(d, client) == ["active"]
        fresh = d.b.admin("POST", path).json()["client_secret"]
        executioner.kill_at(moment, lambda server, path=path: server.admin("POST", f"{path}/complete"))  # type: ignore[misc]
        assert secrets_of(d, client) == (["active"] if moment.writes else ["active", "next"])
        assert works(d, client, fresh)
        wait_for(
            lambda client=client: works(d, client, client["client_secret"]) is not bool(moment.writes),  # type: ignore[misc]
            "the old secret to end with the rotation alone",
            SOON_SECONDS,
        )
        assert d.b.admin("POST", f"{path}/complete").status == (409 if moment.writes else 200)
        assert secrets_of(d, client) == ["active"]
        assert works(d, client, fresh)


def secrets_of(d: Deployment, client: dict[str, Any]) -> list[str]:
    """Return the states of a client's secrets."""
    query = f"SELECT state FROM client_secrets WHERE client_id = '{client['client_id']}' ORDER BY state"  # noqa: S608 - an id
    return [state for (state,) in d.database.rows(query)]


def works(d: Deployment, client: dict[str, Any], secret: str) -> bool:
    """Tell whether a secret gets a token."""
    return d.b.token_response({**client, "client_secret": secret}).status == 200


@each(CHANGE)
def test_crash_02_in_a_key_rotation(survivors: Deployment, executioner: Executioner, moment: Moment) -> None:
    """CRASH-02: one key signs and one is next, before the next rotation and after it; tokens of both are good."""
    d = survivors
    for _ in range(CHANGES):
        before, earlier = keys_of(d), d.a.token(d.client)
        executioner.kill_at(moment, rotate)
        assert (keys_of(d) != before) is bool(moment.writes)
        assert sorted(keys_of(d)) == ["active", "next"]
        assert rotate(d.b).status == 200
        assert sorted(keys_of(d)) == ["active", "next"]
        for token in (earlier, d.b.token(d.client)):
            wait_for(lambda token=token: d.is_active(d.a, token) is True, "the other one to know the key", SOON_SECONDS)  # type: ignore[misc]


def rotate(server: RunningServer) -> Any:
    """Rotate the keys now."""
    return server.admin("POST", "/signing-keys/rotate", {"alg": "ES256", "force": True})


def keys_of(d: Deployment) -> dict[str, str]:
    """Return the kids of the keys that sign or will, by state; of two in one state there would be no dict."""
    rows = d.database.rows("SELECT state, kid FROM signing_keys WHERE alg = 'ES256' AND state IN ('active', 'next')")
    assert len({state for state, _ in rows}) == len(rows)
    return {state: kid for state, kid in rows}  # noqa: C416 - a tuple of any length is no pair


@each(DELETE)
def test_crash_02_in_the_deletion_of_a_client(survivors: Deployment, executioner: Executioner, moment: Moment) -> None:
    """CRASH-02: the client is there, or gone with its secrets and all its tokens; the deletion can be repeated."""
    d = survivors
    for _ in range(CHANGES):
        client = d.a.create_client()
        token = d.a.token(client)
        path = f"/clients/{client['client_id']}"
        executioner.kill_at(moment, lambda server, path=path: server.admin("DELETE", path))  # type: ignore[misc]
        is_gone = moment.writes >= 2
        assert secrets_of(d, client) == ([] if is_gone else ["active"])
        expected = 401 if is_gone else 200
        wait_for(
            lambda client=client, expected=expected: d.b.token_response(client).status == expected,  # type: ignore[misc]
            "a survivor to know",
            SOON_SECONDS,
        )
        later = None if is_gone else d.b.token(client)
        assert later is None or d.is_active(d.b, later) is True
        assert d.b.admin("DELETE", path).status == (404 if is_gone else 204)
        for each in filter(None, (token, later)):
            assert d.is_active(d.a, each) is d.is_active(d.b, each) is False


def test_crash_01_at_any_moment(survivors: Deployment, nursery: Nursery) -> None:
    """CRASH-01, CRASH-02: kill -9 in mid revocation, secret rotation and key rotation: old or new, never half."""
    rounds = ROUNDS_ON_SQLITE if isinstance(survivors.database, SqliteDatabase) else ROUNDS_ON_POSTGRESQL
    series = CrashSeries(survivors, nursery, seed=1)
    report = series.report
    while report.rounds < rounds or not (report.is_varied or report.rounds > 10 * rounds):
        series.round()
    series.judge_in_the_end()
    assert report.lost == []
    assert report.wrong == []
    assert report.acknowledged > rounds
    assert report.interrupted > rounds
    assert report.is_varied
