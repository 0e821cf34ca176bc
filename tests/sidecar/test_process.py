"""The sidecar as a process: how it starts and does not, where it listens, what signals do, what it takes of memory."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import stat
import sys
from pathlib import Path

import pytest

from tests.conformance.forge import Forge
from tests.redis_server import wait_for
from tests.resource_server.deployment import RESOURCE, Deployment
from tests.resource_server.scripted import scripted
from tests.sidecar.beside import RunningSidecar, refused_start, scripted_files, sidecar_files, start_sidecar

MAX_RSS_BYTES = 60 * 1000 * 1000
#: 7 MB below the 64 MiB of the manifest.
MAX_ANONYMOUS_BYTES = 60 * 1000 * 1000
#: The program, on a system that has no thread for a verifier.
WITHOUT_THREADS = """
import threading
from authserver.__main__ import main
from authserver.resource_server.source import THREAD_NAME

start = threading.Thread.start

def refuse(thread):
    if thread.name == THREAD_NAME:
        raise RuntimeError("can't start new thread")
    start(thread)

threading.Thread.start = refuse
main()
"""
HEAVY = ("pydantic.", "sqlalchemy.", "aiosqlite.", "alembic.", "starlette.", "redis.", "asyncpg.", "authlib.", "rich.")


def test_wrong_credentials(deployment: Deployment, tmp_path: Path) -> None:
    """Refused credentials are one line, before anything listens."""
    files = sidecar_files(tmp_path, deployment)
    (tmp_path / "client-secret").write_text("wrong")
    code, lines = refused_start(*files, "--listen", "127.0.0.1:0")
    assert (code, len(lines)) == (1, 1)
    assert "client id or secret is wrong" in lines[0]


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """One line for each problem, and the secret in none."""
    (tmp_path / "rules.json").write_text("{}")
    code, lines = refused_start(
        *("--config", "/none", "--client-secret-file", "/none", "--rules", str(tmp_path / "rules.json")),
        *("--listen", "0.0.0.0:9000"),
        AUTHSERVER_SIDECAR_CLIENT_SECRET="canary",
        AUTHSERVER_SIDECAR_STALENESS="3",
    )
    assert code == 1
    starts = ("Error: AUTHSERVER_SIDECAR_STALENESS", "--listen", "--client-id", "--client-secret-file", "--rules")
    for line, start in zip(lines, (*starts, "--config"), strict=True):
        assert line.startswith(start)
        assert "canary" not in line


def test_a_system_without_threads(tmp_path: Path) -> None:
    """A verifier that cannot start is one line with the reason, not a failure to be reported."""
    with scripted() as server:
        files = scripted_files(tmp_path, server)
        code, lines = refused_start(*files, "--listen", "127.0.0.1:0", program=(sys.executable, "-c", WITHOUT_THREADS))
    assert (code, lines) == (1, ["Error: The verifier cannot start: no thread can be started"])


@pytest.mark.parametrize(
    ("listen", "word"),
    [
        ("0.0.0.0:9000", "--expose"),
        ("[::]:9000", "--expose"),
        ("192.0.2.1:9000", "--expose"),
        ("example.com:9000", "no IP address"),
        ("127.0.0.1", "neither"),
        ("127.0.0.1:99999", "neither"),
        ("unix:", "neither"),
        ("unix:/none/authserver.sock", "No such file"),
    ],
)
def test_addresses_that_are_refused(deployment: Deployment, tmp_path: Path, listen: str, word: str) -> None:
    """Nobody is asked who he is, so nobody from outside may ask, unless that is said in so many words."""
    code, lines = refused_start(*sidecar_files(tmp_path, deployment), "--listen", listen)
    assert (code, len(lines)) == (1, 1)
    assert word in lines[0]


def test_wrong_usage() -> None:
    """Options are checked as elsewhere: exit code 2."""
    for arguments in ((), ("--config", "x", "--leeway", "61"), ("--config", "x", "--client-secret", "s")):
        assert refused_start(*arguments)[0] == 2


def test_variables_in_place_of_options(deployment: Deployment, tmp_path: Path) -> None:
    """Every option may be a variable, and the secret itself may be one. `--expose` opens other addresses."""
    sidecar_files(tmp_path, deployment)
    settings = {
        "CONFIG": str(tmp_path / "verifier.json"),
        "CLIENT_ID": deployment.resource_server["client_id"],
        "CLIENT_SECRET": deployment.resource_server["client_secret"],
        "LOG_LEVEL": "warning",
        "EXPOSE": "true",
    }
    variables = {f"AUTHSERVER_SIDECAR_{name}": value for name, value in settings.items()}
    with start_sidecar(tmp_path, **variables) as sidecar:
        assert sidecar.forward(deployment.server.token(deployment.caller)).status == 204
        assert sidecar.log() == ""


def test_a_unix_socket(deployment: Deployment, tmp_path: Path) -> None:
    """For owner and group alone; a living one is refused, a dead one replaced, and ours is removed in the end."""
    path = tmp_path / "authserver.sock"
    files = sidecar_files(tmp_path, deployment)
    with start_sidecar(tmp_path, *files, path=path) as sidecar:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert sidecar.forward(deployment.server.token(deployment.caller)).status == 204
        code, lines = refused_start(*files, "--listen", f"unix:{path}")
        assert (code, lines) == (1, [f"Error: --listen: another process listens on {path}."])
        sidecar.stop(signal.SIGKILL)
        assert path.exists()
    with start_sidecar(tmp_path, *files, path=path) as sidecar:
        assert sidecar.get("/health/ready").status == 200
        assert sidecar.stop() == 0
    assert not path.exists()
    path.write_text("something else")
    assert refused_start(*files, "--listen", f"unix:{path}")[0] == 1
    assert path.read_text() == "something else"


def test_a_resource_with_a_shared_secret(deployment: Deployment, tmp_path: Path) -> None:
    """RS-12: HS256 where the configuration says so, fetched by its URL; there is no public key to hand on."""
    server, identifier = deployment.server, "https://hs256.example.com"
    resource_server = server.create_client()
    server.create_resource(identifier, signing_alg="HS256", resource_servers=[resource_server["client_id"]])
    token = server.token(server.create_client(audiences=[identifier]))
    (tmp_path / "secret").write_text(resource_server["client_secret"])
    with start_sidecar(
        tmp_path,
        *("--config", f"{server.url}/oauth2/verifier-config?resource={identifier}"),
        *("--client-id", resource_server["client_id"], "--client-secret-file", str(tmp_path / "secret")),
    ) as sidecar:
        assert sidecar.forward(token).status == 204
        assert sidecar.introspect(token).json()["active"] is True
        assert sidecar.forward(server.token(deployment.caller)).status == 401
        assert sidecar.get("/.well-known/jwks.json").json() == {"keys": []}


def test_sigterm_finishes_what_is_at_hand(deployment: Deployment, tmp_path: Path) -> None:
    """A request that has begun is answered; the exit code is 0."""
    with start_sidecar(tmp_path, *sidecar_files(tmp_path, deployment)) as sidecar:
        token = deployment.server.token(deployment.caller)
        with socket.create_connection(("127.0.0.1", sidecar.port), 10) as connection:
            head = f"Host: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(token) + 6}"
            connection.sendall(f"POST /oauth2/introspect HTTP/1.1\r\n{head}\r\n\r\ntoken=".encode())
            wait_for(lambda: sidecar.metric("ready") == 1, "the request to be there")
            sidecar.process.send_signal(signal.SIGTERM)
            wait_for(lambda: bool(sidecar.events("server.stopping")), "the signal")
            connection.sendall(token.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"active":true' in answer
        assert sidecar.stop() == 0
        assert sidecar.events("sidecar.stopped")


def test_sighup_reads_everything_again(deployment: Deployment, tmp_path: Path) -> None:
    """Configuration, secret and rules are taken over when they are good; else all stays, with the reason in the log."""
    files = sidecar_files(tmp_path, deployment)
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"rules": [{"methods": ["GET"], "path": "/a", "scope": "read"}]}))
    token = deployment.server.token(deployment.caller)

    def passes(uri: str) -> bool:
        return sidecar.forward(token, headers={"X-Original-Method": "GET", "X-Original-URI": uri}).status == 204

    with start_sidecar(tmp_path, *files, "--rules", str(rules)) as sidecar:
        assert (passes("/a"), passes("/b")) == (True, False)
        rules.write_text("{")
        sidecar.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(sidecar.events("reload.refused")) == 1, "the refusal of the rules")
        rules.write_text(json.dumps({"rules": [{"methods": ["GET"], "path": "/b", "scope": "read"}]}))
        (tmp_path / "client-secret").write_text("wrong")
        sidecar.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(sidecar.events("reload.refused")) == 2, "the refusal of the secret")
        assert (passes("/a"), passes("/b")) == (True, False)
        sidecar_files(tmp_path, deployment)
        sidecar.process.send_signal(signal.SIGHUP)
        wait_for(lambda: bool(sidecar.events("reload.done")), "the reload")
        assert (passes("/a"), passes("/b")) == (False, True)


def test_memory(deployment: Deployment, sidecar: RunningSidecar, tmp_path: Path) -> None:
    """At most 60 MB after 10,000 requests with 2,000 tokens."""
    forge = Forge(deployment.server)
    client_id = deployment.caller["client_id"]
    tokens = [forge.sign(forge.header(), forge.claims(client_id, aud=RESOURCE, number=n)) for n in range(2000)]
    files = sidecar_files(tmp_path, deployment)
    with start_sidecar(tmp_path, *files, "--log-level", "warning") as fresh:
        for _ in range(5):
            assert passed(fresh, tokens) == len(tokens)
        assert fresh.metric("verified_total") == 10_000
        assert fresh.rss_bytes() <= MAX_RSS_BYTES


def passed(sidecar: RunningSidecar, tokens: list[str]) -> int:
    """Ask about all tokens on one connection, some at a time, and return how many were let in."""
    found = 0
    with socket.create_connection(("127.0.0.1", sidecar.port), 10) as connection:
        for start in range(0, len(tokens), 20):
            some = tokens[start : start + 20]
            heads = [
                f"GET /forward-auth HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n" for token in some
            ]
            connection.sendall("".join(heads).encode())
            answers = b""
            while answers.count(b"\r\n\r\n") < len(some):
                answers += connection.recv(65536)
            found += answers.count(b"HTTP/1.1 204 ")
    return found


def test_memory_in_a_crowd(deployment: Deployment, tmp_path: Path) -> None:
    """Whoever has no token may send the largest heads on any number of connections, whole or not: 64 MiB are enough."""
    fields = "".join(f"X-{n}: {'x' * 320}\r\n" for n in range(90))
    unfinished = f"GET /forward-auth HTTP/1.1\r\nHost: a\r\n{fields}".encode()
    files = sidecar_files(tmp_path, deployment)
    with start_sidecar(tmp_path, *files, "--log-level", "warning") as sidecar:
        for _ in range(2):
            with contextlib.ExitStack() as opened:
                crowd = [came(opened, sidecar, unfinished if n % 2 else unfinished + b"\r\n") for n in range(800)]
                statuses = [answered(one) for one in crowd[::2]]
                assert set(statuses) == {b"401", b"503"}
                assert sidecar.anonymous_bytes() <= MAX_ANONYMOUS_BYTES
        wait_for(lambda: sidecar.get("/health/live").status == 200, "the crowd to be gone")
        assert sidecar.forward(deployment.server.token(deployment.caller)).status == 204


def came(opened: contextlib.ExitStack, sidecar: RunningSidecar, head: bytes) -> socket.socket:
    """Send a head on a connection of its own, or what of it the other side takes."""
    connection = opened.enter_context(socket.create_connection(("127.0.0.1", sidecar.port), 10))
    with contextlib.suppress(ConnectionError):
        connection.sendall(head)
    return connection


def answered(connection: socket.socket) -> bytes:
    """Return the status of the answer; one that was turned away may find the connection reset instead."""
    try:
        return connection.recv(12)[9:]
    except ConnectionError:
        return b"503"


def test_no_heavy_library_is_loaded(deployment: Deployment, tmp_path: Path) -> None:
    """No database, no Redis, no framework: with rules, a request and a page of metrics."""
    (tmp_path / "rules.json").write_text('{"rules": [{"methods": ["GET"], "path": "/a", "scope": "read"}]}')
    files = [*sidecar_files(tmp_path, deployment), "--rules", str(tmp_path / "rules.json")]
    with start_sidecar(tmp_path, *files, PYTHONPROFILEIMPORTTIME="1") as sidecar:
        assert sidecar.forward(None).status == 403
        assert sidecar.get("/metrics").status == 200
        lines = [line for line in sidecar.log().splitlines() if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip() for line in lines}
    assert {"uvicorn", "httpx2"} <= modules
    assert {module for module in modules if module.startswith(HEAVY)} == set()
