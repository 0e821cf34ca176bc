"""Redis for tests: real servers on free ports, ended by process id; alone, under a Sentinel, or as a small cluster."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import redis

from tests.server import free_port

START_SECONDS = 10
ATTEMPTS = 3
SENTINEL_SERVICE = "main"
CLUSTER_NODES = 3
SLOTS = 16_384

_SETTINGS = {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction", "repl-diskless-sync-delay": "0"}

#: A cluster node listens on a second port, this much higher.
_BUS_OFFSET = 10_000


def unavailable() -> str | None:
    """Return why no Redis can be started here, in one line; None when one can."""
    return None if shutil.which("redis-server") else "Redis is not installed: apt-get install redis-server"


@dataclass
class RedisServer:
    """One server and what a test may do to it. Without persistence unless `options` say otherwise."""

    directory: Path
    port: int
    options: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Return its AUTHSERVER_REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}"

    def command(self, *words: str | int) -> Any:
        """Run a command and return the reply; what is text comes as text."""
        with redis.Redis(port=self.port, password=self.password, socket_timeout=5, decode_responses=True) as client:
            return client.execute_command(*words)

    def start(self) -> None:
        """Start it and wait until it answers."""
        given = {**_SETTINGS, **self.options}
        words = [word for name, value in given.items() for word in (f"--{name}", value)]
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        command = ["redis-server", *place, *words]
        with (self.directory / f"redis-{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(lambda: self._answers() or self._ended(), f"Redis on port {self.port}")

    def stop(self) -> None:
        """End it in order, if it runs."""
        if self.process is not None:
            self.resume()
            self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as by kill -9."""
        self._end(signal.SIGKILL)

    def suspend(self) -> None:
        """Hang it: connections stay open and nothing answers, until `resume`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `suspend`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def _answers(self) -> bool:
        try:
            return bool(self.command("PING"))
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False

    def _end(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(START_SECONDS)
            self.process = None


@contextlib.contextmanager
def start_redis(**options: str) -> Iterator[RedisServer]:
    """Run a server until the block is left; `maxmemory_policy="volatile-lru"` and the like set its configuration."""
    with _directory() as directory, contextlib.ExitStack() as stack:
        yield _started(stack, directory, {name.replace("_", "-"): value for name, value in options.items()})


@dataclass
class SentinelRedis:
    """A primary, its replica, and a Sentinel that makes the replica the primary when that one is gone."""

    primary: RedisServer
    replica: RedisServer
    sentinel: RedisServer

    @property
    def url(self) -> str:
        """Return its AUTHSERVER_REDIS_URL."""
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/0?service={SENTINEL_SERVICE}"

    def primary_port(self) -> int:
        """Return the port that the Sentinel names now."""
        return int(self.sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SENTINEL_SERVICE)[1])


@contextlib.contextmanager
def start_sentinel() -> Iterator[SentinelRedis]:
    """Run a primary, a replica and a Sentinel until the block is left."""
    with _directory() as directory, contextlib.ExitStack() as stack:
        primary = _started(stack, directory, {})
        replica = _started(stack, directory, {"replicaof": f"127.0.0.1 {primary.port}"})
        port = free_port()
        configuration = directory / "sentinel.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor {SENTINEL_SERVICE} 127.0.0.1 {primary.port} 1\n"
            f"sentinel down-after-milliseconds {SENTINEL_SERVICE} 300\n"
            f"sentinel failover-timeout {SENTINEL_SERVICE} 2000\n"
        )
        sentinel = RedisServer(directory, port)
        with (directory / "sentinel.log").open("ab") as log:
            command = ["redis-server", str(configuration), "--sentinel"]
            sentinel.process = subprocess.Popen(command, stdout=log, stderr=log)
        stack.callback(sentinel.stop)
        wait_for(sentinel._answers, "Sentinel")
        wait_for(lambda: bool(sentinel.command("SENTINEL", "REPLICAS", SENTINEL_SERVICE)), "the replica")
        wait_for(lambda: _is_replicating(replica), "the replication")
        yield SentinelRedis(primary, replica, sentinel)


@dataclass
class ClusterRedis:
    """Three nodes that share the slots."""

    nodes: list[RedisServer]

    @property
    def url(self) -> str:
        """Return its AUTHSERVER_REDIS_URL."""
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}"

    def owner_of(self, key: str) -> RedisServer:
        """Return the node that holds a key."""
        slot = self.nodes[0].command("CLUSTER", "KEYSLOT", key)
        share = SLOTS / CLUSTER_NODES
        return self.nodes[min(int((slot + 0.5) / share), CLUSTER_NODES - 1)]


@contextlib.contextmanager
def start_cluster() -> Iterator[ClusterRedis]:
    """Run a cluster of three nodes, no replicas, until the block is left."""
    with _directory() as directory, contextlib.ExitStack() as stack:
        nodes = []
        for number in range(CLUSTER_NODES):
            options = {"cluster-enabled": "yes", "cluster-config-file": f"nodes-{number}.conf"}
            options["cluster-node-timeout"] = "1000"
            nodes.append(_started(stack, directory, options, choose_port=_low_port))
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        create = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
        subprocess.run(create, check=True, capture_output=True, timeout=START_SECONDS * 2)
        for node in nodes:
            wait_for(partial(_is_whole, node), "the cluster")
        yield ClusterRedis(nodes)


def wait_for(condition: Callable[[], bool], name: str, seconds: float = START_SECONDS) -> float:
    """Return after how many seconds the condition held; fail when it does not hold in time."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if condition():
            return time.monotonic() - started
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s for {name}")


def _started(
    stack: contextlib.ExitStack,
    directory: Path,
    options: dict[str, str],
    *,
    choose_port: Callable[[], int] = free_port,
) -> RedisServer:
    """Start a server; when somebody was faster on its port, start it on another one."""
    for _ in range(ATTEMPTS):
        own = directory / str(len(list(directory.iterdir())))
        own.mkdir()
        server = RedisServer(own, choose_port(), options)
        server.start()
        if server.process is not None and server.process.poll() is None:
            stack.callback(server.stop)
            return server
    raise AssertionError("Redis ends as soon as it is started")


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="authserver-redis-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _low_port() -> int:
    return next(port for port in iter(free_port, None) if port + _BUS_OFFSET < 2**16)


def _is_replicating(server: RedisServer) -> bool:
    reply: dict[str, Any] = server.command("INFO", "replication")
    return reply.get("master_link_status") == "up"


def _is_whole(node: RedisServer) -> bool:
    return "cluster_state:ok" in str(node.command("CLUSTER", "INFO"))
