"""An instance that has not heard yet of what another one has done: it looks before it answers, or does not answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests import postgresql
from tests.faults.deployment import ISSUER
from tests.faults.proxy import Proxy, proxy_to
from tests.redis_server import start_redis, unavailable, wait_for
from tests.server import API, Response, RunningServer, basic, credentials, start_server

BILLING = "https://billing.example"

pytestmark = pytest.mark.skipif(postgresql.unavailable() is not None, reason=str(postgresql.unavailable()))


@dataclass
class Instances:
    """Instances `a` and `b` on one database; `network_b` lies between it and `b`. Both know the client."""

    a: RunningServer
    b: RunningServer
    network_b: Proxy
    client: dict[str, Any]

    def token_of_a_new_key(self, alg: str) -> str:
        """Return a token that `a` has signed with a key that it has just made."""
        self.a.create_resource(BILLING, signing_alg=alg)
        return self.a.token(self.client, resource=BILLING)


@pytest.fixture(params=["alone", "with Redis"])
def instances(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Instances]:
    """Run two instances, with a Redis or without."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgresql.start_postgresql())
        name = database.create_database()
        network_b = stack.enter_context(proxy_to(database.port))
        settings: dict[str, Any] = {"AUTHSERVER_ISSUER": ISSUER}
        if request.param == "with Redis":
            if unavailable() is not None:
                pytest.skip(str(unavailable()))
            settings["AUTHSERVER_REDIS_URL"] = stack.enter_context(start_redis()).url
        urls = database.url(name), replace(database, port=network_b.port).url(name)
        a, b = (stack.enter_context(start_server(tmp_path, AUTHSERVER_DATABASE_URL=url, **settings)) for url in urls)
        client = a.create_client(audiences=[API, BILLING])
        a.create_resource(API, resource_servers=[client["client_id"]])
        yield Instances(a, b, network_b, client)


@pytest.mark.parametrize("alg", ["HS256", "RS256"])
def test_an_instance_that_has_not_heard_of_the_key(instances: Instances, alg: str) -> None:
    """It looks before it answers: a revocation is stored and in force, and a good token is active."""
    i = instances
    live = i.token_of_a_new_key(alg)
    revoked = i.a.token(i.client, resource=BILLING)
    assert i.b.revoke(revoked, i.client).status == 200
    assert i.b.introspect(live, i.client).json()["active"] is True
    assert i.b.introspect(revoked, i.client).json()["active"] is False
    wait_for(lambda: i.a.introspect(revoked, i.client).json()["active"] is False, "the revocation", 2)


def test_an_instance_that_cannot_hear_of_the_key(instances: Instances) -> None:
    """REV-06, P3: without the database it cannot know whether the token is one of ours, and acknowledges nothing."""
    i = instances
    i.network_b.silent = True
    token = i.token_of_a_new_key("RS256")
    assert i.b.revoke(token, i.client).status == 503
    assert i.b.introspect(token, i.client).status == 503
    i.network_b.heal()
    wait_for(lambda: i.b.revoke(token, i.client).status == 200, "the database to be used again")
    wait_for(lambda: i.a.introspect(token, i.client).json()["active"] is False, "the revocation", 2)


def read_feed(server: RunningServer, client: dict[str, Any], cursor: str = "") -> Response:
    """Read the revocation feed once."""
    return server.get(f"/oauth2/revocations?after={cursor}", {"Authorization": basic(*credentials(client))})


def test_a_reader_that_is_ahead_goes_on(instances: Instances) -> None:
    """RS, P1: what it has read from one instance another one does not take back, however far it is behind."""
    i = instances
    for _ in range(10):
        token = i.a.token(i.client)
        assert i.a.revoke(token, i.client).status == 200
        ahead = read_feed(i.a, i.client).json()["cursor"]
        answer = read_feed(i.b, i.client, ahead).json()
        assert (answer["snapshot"], answer["entries"], answer["cursor"]) == (False, [], ahead)


def test_a_reader_that_is_ahead_of_an_instance_without_a_database(instances: Instances) -> None:
    """P3: it cannot know whether the reader is ahead or the database was put back, and tells nothing."""
    i = instances
    i.network_b.silent = True
    assert i.a.revoke(i.a.token(i.client), i.client).status == 200
    ahead = read_feed(i.a, i.client).json()["cursor"]
    assert read_feed(i.b, i.client, ahead).status == 503
    i.network_b.heal()
    wait_for(lambda: read_feed(i.b, i.client, ahead).status == 200, "the database to be used again")
    assert read_feed(i.b, i.client, ahead).json()["snapshot"] is False


def test_a_resource_server_that_is_new(instances: Instances) -> None:
    """It may read feed and configuration at every instance from the moment that it was registered."""
    i = instances
    server = i.a.create_client()
    i.a.create_resource("https://new.example", resource_servers=[server["client_id"]])
    assert read_feed(i.b, server).status == 200
    other = i.a.create_client()
    i.a.create_resource("https://newer.example", resource_servers=[other["client_id"]])
    path = "/oauth2/verifier-config?resource=https://newer.example"
    assert i.b.get(path, {"Authorization": basic(*credentials(other))}).status == 200
