"""A sidecar for tests: started as a user starts it, asked over HTTP on its port or its UNIX socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.resource_server.deployment import Deployment
from tests.resource_server.scripted import CREDENTIALS, Scripted
from tests.server import AUTHSERVER, FORM, OwnProcess, Response, free_port


@dataclass
class RunningSidecar(OwnProcess):
    """A sidecar process; it listens on `path`, or on `port` where that is None."""

    process: subprocess.Popen[bytes]
    port: int
    path: Path | None
    log_file: Path

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send one request on a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, names, response.read())

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection, which to a port opens with the first request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        if self.path is not None:
            with contextlib.ExitStack() as opened:
                peer = opened.enter_context(socket.socket(socket.AF_UNIX))
                peer.connect(str(self.path))
                opened.pop_all()
            connection.sock = peer
        return connection

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        """Send a GET request."""
        return self.request("GET", path, None, headers)

    def forward(self, token: str | None, query: str = "", headers: Mapping[str, str] | None = None) -> Response:
        """Ask as a proxy does whether a request with this token may pass."""
        bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.get(f"/forward-auth{query}", {**bearer, **(headers or {})})

    def introspect(self, token: str) -> Response:
        """Introspect a token."""
        body = urlencode({"token": token}).encode()
        return self.request("POST", "/oauth2/introspect", body, {"Content-Type": FORM})

    def metric(self, name: str) -> float:
        """Return a metric without labels."""
        lines = self.get("/metrics").body.decode().splitlines()
        (value,) = [line.split(" ")[1] for line in lines if line.startswith(f"authserver_sidecar_{name} ")]
        return float(value)

    def anonymous_bytes(self) -> int:
        """Return the memory that the kernel cannot take back: what a container's limit is about in the end."""
        (line,) = [
            line
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            if line.startswith("RssAnon:")
        ]
        return int(line.split()[1]) * 1024

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of the log with this name, oldest first."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]


def sidecar_environment(**settings: str) -> dict[str, str]:
    """Return the environment of a sidecar; `settings` are variables, named whole."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AUTHSERVER_")} | settings


def sidecar_files(directory: Path, deployment: Deployment, document: Mapping[str, Any] | None = None) -> list[str]:
    """Write configuration and secret, and return the options that name them."""
    (directory / "verifier.json").write_text(json.dumps(document or deployment.document))
    (directory / "client-secret").write_text(f"{deployment.resource_server['client_secret']}\n")
    return [
        *("--config", str(directory / "verifier.json"), "--client-id", deployment.resource_server["client_id"]),
        *("--client-secret-file", str(directory / "client-secret")),
    ]


def scripted_files(directory: Path, server: Scripted) -> list[str]:
    """Write configuration and secret of a scripted server, and return the options that name them."""
    (directory / "verifier.json").write_text(json.dumps(server.document()))
    (directory / "client-secret").write_text(CREDENTIALS["client_secret"])
    return [
        *("--config", str(directory / "verifier.json"), "--client-id", CREDENTIALS["client_id"]),
        *("--client-secret-file", str(directory / "client-secret")),
    ]


@contextlib.contextmanager
def start_sidecar(
    directory: Path,
    *arguments: str,
    path: Path | None = None,
    meanwhile: Callable[[RunningSidecar], None] = lambda _: None,
    **settings: str,
) -> Iterator[RunningSidecar]:
    """Run `authserver sidecar` until the block is left, on `path` or on a free port; `meanwhile` it starts."""
    port = free_port()
    listen = f"127.0.0.1:{port}" if path is None else f"unix:{path}"
    log_file = directory / "sidecar.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [AUTHSERVER, "sidecar", "--listen", listen, *arguments],
            env=sidecar_environment(**settings),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    sidecar = RunningSidecar(process, port, path, log_file)
    with contextlib.ExitStack() as ended:
        ended.callback(process.kill)
        meanwhile(sidecar)
        ended.enter_context(sidecar.until_left("/health/live"))
        yield sidecar


def refused_start(*arguments: str, program: Sequence[str] = (AUTHSERVER,), **settings: str) -> tuple[int, list[str]]:
    """Run a sidecar that must not start; return its exit code and the lines that it says."""
    done = subprocess.run(
        [*program, "sidecar", *arguments],
        env=sidecar_environment(**settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()
