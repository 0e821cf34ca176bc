"""Several workers are one server: one address, one welcome, one sum of metrics, one end; none is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.redis_server import RedisServer, start_redis, unavailable, wait_for
from tests.server import AUTHSERVER, RunningServer, free_port, start_server

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))

WORKERS = 2


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    """Run one Redis for all tests here."""
    with start_redis() as server:
        yield server


@contextlib.contextmanager
def start_workers(
    data_dir: Path, redis_server: RedisServer, mode: str = "--dev", *more: str, **settings: str
) -> Iterator[RunningServer]:
    """Run a server of two workers until the block is left; both serve when it is entered."""
    arguments = (mode, *more, "--workers", str(WORKERS))
    with start_server(
        data_dir, *arguments, port=free_port(), AUTHSERVER_REDIS_URL=redis_server.url, **settings
    ) as server:
        wait_for(lambda: "server.started" in server.log_file.read_text(), "all workers", 20)
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[RunningServer]:
    """Run one server for the tests that leave it as it is."""
    with start_workers(tmp_path_factory.mktemp("workers"), redis_server) as running:
        yield running


def worker_pids(server: RunningServer) -> list[int]:
    """Return the processes that the supervisor has at the moment."""
    pid = server.process.pid
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sorted(int(child) for thread in threads for child in (thread / "children").read_text().split())


def events(server: RunningServer, name: str) -> list[dict[str, object]]:
    """Return the log lines of one event."""
    lines = [json.loads(line) for line in server.log_file.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


def metrics_directory(pids: list[int]) -> Path:
    """Return where workers count: in files that those have open who have served a request."""
    mapped = [line for pid in pids for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    return Path(next(line for line in mapped if "authserver-metrics-" in line).split()[-1]).parent


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def metric(server: RunningServer, line_start: str) -> float:
    """Return one sample of `/metrics`, by the beginning of its line; 0 when it is not there."""
    for line in server.get("/metrics").body.decode().splitlines():
        if line.startswith(line_start):
            return float(line.rpartition(" ")[2])
    return 0.0


def prefixes(server: RunningServer, requests: int, ask: Callable[[], object]) -> set[str]:
    """Send requests, each on a connection of its own, and return which processes have answered."""
    for _ in range(requests):
        ask()
    server.log()
    return {str(line["request_id"]).partition("-")[0] for line in events(server, "request")}


def test_all_workers_answer(server: RunningServer) -> None:
    """Connections are dealt out to all workers, and one revocation, by whichever, holds at each of them at once."""
    client = server.create_client()
    tokens = [server.token(client) for _ in range(12)]
    for token in tokens:
        assert server.introspect(token, client).json()["active"] is True
        assert server.revoke(token, client).status == 200
        assert server.introspect(token, client).json() == {"active": False}
    assert len(prefixes(server, 20, lambda: server.get("/health/live"))) == WORKERS


def test_one_welcome(server: RunningServer) -> None:
    """The server says once that it serves, when all workers do; each worker has one line of its own."""
    server.log()
    (started,) = events(server, "server.started")
    assert started["workers"] == WORKERS
    assert {line["worker"] for line in events(server, "worker.started")} == {1, 2}
    assert server.log_file.read_text().count("Create a client, get a token") == 1


def test_metrics_add_up(server: RunningServer) -> None:
    """Every worker shows the sum of all, whichever answers, and no counter ever falls."""
    client, other = server.create_client(), server.create_client()
    for _ in range(30):
        assert server.token_response(client).status == 200
    for _ in range(7):
        assert server.token_response({**other, "client_secret": "wrong"}).status == 401
    issued = f'authserver_token_requests_total{{client_id="{client["client_id"]}",outcome="issued"}}'
    assert [metric(server, issued) for _ in range(10)] == [30] * 10
    answered = 'authserver_request_seconds_count{endpoint="live"}'
    (before,) = {metric(server, answered) for _ in range(5)}
    for _ in range(10):
        server.get("/health/live")
    # An answer is counted when it has left, so another worker may be asked for the sum before the last one is in it.
    wait_for(lambda: metric(server, answered) >= before + 10, "ten answers to be counted", 2)
    assert [metric(server, answered) for _ in range(5)] == [before + 10] * 5
    text = server.get("/metrics").body.decode()
    assert len(re.findall(r"(?m)^authserver_clients_held ", text)) == 1
    assert "pid=" not in text


def test_memory_and_time_of_all_workers(server: RunningServer) -> None:
    """`process_*` is the sum over the workers; the supervisor, which serves nothing, is much smaller than a worker."""
    resident = metric(server, "process_resident_memory_bytes ")
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in worker_pids(server)]
    assert len(pages) == WORKERS
    assert resident == pytest.approx(sum(pages) * os.sysconf("SC_PAGE_SIZE"), rel=0.2)
    assert server.rss_bytes() < 0.6 * resident / WORKERS


def test_log_lines_stay_whole(server: RunningServer) -> None:
    """All workers write to one stream, and every line is one JSON object (the welcome excepted)."""
    for _ in range(50):
        server.get("/health/live")
    server.log()
    lines = server.log_file.read_text().splitlines()
    broken = [line for line in lines if '"event"' in line and not (line.startswith("{") and line.endswith("}"))]
    assert broken == []


def refusal(data_dir: Path, *arguments: str, **settings: str) -> str:
    """Start a server that must not start; return its only line."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSERVER_")}
    environment = {**plain, "AUTHSERVER_DATA_DIR": str(data_dir), **settings}
    command = [AUTHSERVER, "serve", "--dev", *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_address_is_taken(server: RunningServer, tmp_path: Path, workers: str) -> None:
    """A second server on the same port is one line, though the workers share the port among themselves."""
    redis_url = server.environment["AUTHSERVER_REDIS_URL"]
    line = refusal(tmp_path, "--workers", workers, "--port", str(server.port), AUTHSERVER_REDIS_URL=redis_url)
    assert f"AUTHSERVER_PORT: cannot listen on 127.0.0.1:{server.port}" in line


def test_first_worker_finds_what_is_wrong(tmp_path: Path, redis_server: RedisServer) -> None:
    """What keeps a worker from starting keeps the server from starting: one line, and no worker is tried again."""
    redis_server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        line = refusal(tmp_path, "--workers", "2", "--port", str(free_port()), AUTHSERVER_REDIS_URL=redis_server.url)
    finally:
        redis_server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert "AUTHSERVER_REDIS_URL" in line


def test_refused_without_redis(tmp_path: Path) -> None:
    """Without Redis a revocation would not be seen by all workers at once: one line, and nothing listens."""
    for arguments, settings in ((("--workers", "2"), {}), ((), {"AUTHSERVER_WORKERS": "2"})):
        line = refusal(tmp_path, *arguments, "--port", str(free_port()), **settings)
        assert "AUTHSERVER_WORKERS: more than one needs AUTHSERVER_REDIS_URL" in line


@pytest.mark.parametrize("number", ["0", "two"])
def test_odd_numbers_of_workers(tmp_path: Path, number: str) -> None:
    """A number of workers that cannot be is one line."""
    assert "AUTHSERVER_WORKERS: Input should be" in refusal(
        tmp_path, "--port", str(free_port()), AUTHSERVER_WORKERS=number
    )


def test_a_dead_worker_is_replaced(tmp_path: Path, redis_server: RedisServer) -> None:
    """After kill -9 of a worker the other goes on, a new one takes its place, and its counters go on from there."""
    with start_workers(tmp_path, redis_server) as server:
        client = server.create_client()
        for _ in range(10):
            server.token(client)
        counter = f'authserver_token_requests_total{{client_id="{client["client_id"]}",outcome="issued"}}'
        first, second = worker_pids(server)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: is_gone(first), "the end of the worker")
        time.sleep(0.1)  # its other threads hold the socket a moment longer
        assert [server.get("/health/ready").status for _ in range(10)] == [200] * 10
        wait_for(lambda: len(events(server, "worker.started")) == WORKERS + 1, "the new worker", 15)
        assert second in worker_pids(server)
        assert metric(server, counter) == 10
        server.token(client)
        assert metric(server, counter) == 11
        (died,) = events(server, "worker.died")
        assert died["exit"] == -signal.SIGKILL
        assert len(events(server, "server.started")) == 1
        assert server.stop() == 0


def test_all_end_together(tmp_path: Path, redis_server: RedisServer) -> None:
    """Ctrl-C at the supervisor ends all in order: exit 0, no error, and neither a process nor a file is left behind."""
    with start_workers(tmp_path, redis_server) as server:
        pids = worker_pids(server)
        files = metrics_directory(pids)
        assert files.stat().st_mode & 0o077 == 0
        assert server.stop(signal.SIGINT) == 0
        assert all(is_gone(pid) for pid in pids)
        assert not files.exists()
    assert len(events(server, "worker.stopped")) == WORKERS
    assert events(server, "server.stopped")
    assert '"level":"error"' not in server.log_file.read_text()


def test_no_orphans(tmp_path: Path, redis_server: RedisServer) -> None:
    """After kill -9 of the supervisor the workers stop in order by themselves, without delay, and the port is free."""
    with start_workers(tmp_path, redis_server, AUTHSERVER_SHUTDOWN_DELAY_SECONDS="60") as server:
        pids = worker_pids(server)
        files = metrics_directory(pids)
        server.process.kill()
        server.process.wait()
        wait_for(lambda: all(is_gone(pid) for pid in pids), "the end of the workers")
        assert len(events(server, "worker.stopped")) == WORKERS
        assert not files.exists()
        with socket.create_server(("127.0.0.1", server.port)):
            pass


def test_one_signal_to_all_and_a_second_one(tmp_path: Path, redis_server: RedisServer) -> None:
    """A service manager signals every process of the group: that is one SIGTERM; only a second one ends the delay."""
    with start_workers(tmp_path, redis_server, AUTHSERVER_SHUTDOWN_DELAY_SECONDS="60") as server:
        for pid in (server.process.pid, *worker_pids(server)):
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: server.get("/health/ready").status == 503, "the workers to drain")
        time.sleep(0.5)
        assert {server.get("/health/live").status for _ in range(10)} == {200}
        assert server.stop() == 0
    assert not events(server, "worker.died")


def test_secrets_reload_in_all_workers(tmp_path: Path, redis_server: RedisServer) -> None:
    """SIGHUP to the supervisor reaches every worker: a new admin token holds at all, the old one at none."""
    token_file = tmp_path / "token"
    token_file.write_text("a" * 40)
    settings = {"AUTHSERVER_ISSUER": "https://as.example", "AUTHSERVER_SECRET_KEY": "k" * 40}
    settings |= {"AUTHSERVER_ADMIN_TOKEN_FILE": str(token_file), "AUTHSERVER_SHUTDOWN_DELAY_SECONDS": "0"}
    with start_workers(tmp_path, redis_server, "--host", "127.0.0.1", **settings) as server:
        token_file.write_text("b" * 40)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(events(server, "secrets.reloaded")) == WORKERS, "the reload")
        assert {server.admin("GET", "/status", token="b" * 40).status for _ in range(10)} == {200}
        assert {server.admin("GET", "/status", token="a" * 40).status for _ in range(10)} == {401}
