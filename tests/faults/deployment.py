"""Two instances on one database and one Redis, each with a network of its own in between it and Redis."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.faults.databases import SQLITE, FaultDatabase, open_fault_database
from tests.faults.proxy import Proxy, proxy_to
from tests.redis_server import RedisServer, start_redis, wait_for
from tests.server import RunningServer, start_server

ISSUER = "http://127.0.0.1:8000"

#: The longest time that anything may take to be as it was, once the fault is over.
RECOVERY_SECONDS = 2.0


HEAD = "{authserver}:revocations:head"


@dataclass
class Deployment:
    """Instances `a` and `b`, a client that both know, a token of it that is revoked and one that lives."""

    a: RunningServer
    b: RunningServer
    redis: RedisServer
    database: FaultDatabase
    network_a: Proxy
    network_b: Proxy

    @cached_property
    def client(self) -> dict[str, Any]:
        """Return the client."""
        return self.a.create_client()

    @cached_property
    def live(self) -> str:
        """Return a token that nobody revokes."""
        return self.a.token(self.client)

    @cached_property
    def revoked(self) -> str:
        """Return a token that was revoked."""
        token = self.a.token(self.client)
        assert self.a.revoke(token, self.client).status == 200
        return token

    def is_active(self, server: RunningServer, token: str) -> bool | None:
        """Return what a server says of a token, None for 503."""
        response = server.introspect(token, self.client)
        assert response.status in {200, 503}, response.body
        return bool(response.json()["active"]) if response.status == 200 else None

    def is_strict(self) -> bool:
        """Tell whether both use Redis, and a revocation on one raises the beacon."""
        if any("degraded" in server.get("/health/ready").json() for server in (self.a, self.b)):
            return False
        token = self.a.token(self.client)
        before = self.redis.command("HGET", HEAD, "sequence")
        assert self.a.revoke(token, self.client).status == 200
        assert self.is_active(self.b, token) is not True
        return bool(self.redis.command("HGET", HEAD, "sequence") != before)

    def heal(self) -> float:
        """Undo every fault, whatever it was; return how many seconds it took to be as before."""
        if self.redis.process is None:
            self.redis.start()
        self.redis.resume()
        for network in (self.network_a, self.network_b):
            network.heal()
        self.redis.command("REPLICAOF", "NO", "ONE")
        self.redis.command("CONFIG", "SET", "maxmemory", "0")
        if self._is_spoiled():
            self.redis.command("DEL", HEAD)
        return wait_for(self.is_strict, "both instances to use Redis again", RECOVERY_SECONDS)

    def _is_spoiled(self) -> bool:
        """Tell whether something else lies where our hash should be: people must clear that away."""
        if self.redis.command("TYPE", HEAD) not in {"hash", "none"}:
            return True
        sequence = self.redis.command("HGET", HEAD, "sequence")
        return sequence is not None and not str(sequence).isdecimal()

    def prepare(self) -> None:
        """Have the client in the memory of both, and Redis in use."""
        for server in (self.a, self.b):
            self._greet(server)
        self.heal()

    def _greet(self, server: RunningServer) -> None:
        wait_for(lambda: self.is_active(server, self.live) is not None, "the first answer")
        assert self.is_active(server, self.live) is True
        assert self.is_active(server, self.revoked) is False
        server.token(self.client)


@contextlib.contextmanager
def start_deployment(directory: Path, *, database: str = SQLITE, **settings: str) -> Iterator[Deployment]:
    """Run it until the block is left; `settings` are further AUTHSERVER_* variables of both instances."""
    with contextlib.ExitStack() as stack:
        shared = stack.enter_context(open_fault_database(database, directory))
        redis = stack.enter_context(start_redis())
        network_a, network_b = (stack.enter_context(proxy_to(redis.port)) for _ in range(2))
        common: dict[str, Any] = {"AUTHSERVER_ISSUER": ISSUER, **shared.settings(), **settings}
        a, b = (
            stack.enter_context(start_server(directory, AUTHSERVER_REDIS_URL=network.redis_url, **common))
            for network in (network_a, network_b)
        )
        deployment = Deployment(a, b, redis, shared, network_a, network_b)
        deployment.prepare()
        yield deployment
