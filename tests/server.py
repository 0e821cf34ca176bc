"""A server for tests: started as a user starts it, talked to over HTTP only, ended by its process id."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

AUTHSERVER = str(Path(sys.executable).parent / "authserver")
API = "https://api.example.com"
FORM = "application/x-www-form-urlencoded"
DATABASE = "authserver.db"
START_SECONDS = 20


@dataclass(frozen=True)
class Response:
    """A response, read whole. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class OwnProcess:
    """What tests do with a process of ours, whatever it serves."""

    process: subprocess.Popen[bytes]
    log_file: Path

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        """Send a GET request."""
        raise NotImplementedError

    def log(self) -> str:
        """Return what the process has logged until now; waits a moment for the writer."""
        time.sleep(0.1)
        return self.log_file.read_text()

    def rss_bytes(self) -> int:
        """Return the resident memory of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)

    @contextlib.contextmanager
    def until_left(self, path: str, *, number: int = signal.SIGTERM) -> Iterator[None]:
        """Wait until `path` answers 200; end the process by a signal when the block is left, at the latest by force."""
        try:
            self._wait_for(path)
            yield
        finally:
            try:
                self.stop(number)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

    def _wait_for(self, path: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.get(path).status == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"{path} was never answered with 200:\n{self.log_file.read_text()[-2000:]}")


@dataclass
class RunningServer(OwnProcess):
    """A server process and what one can ask of it."""

    process: subprocess.Popen[bytes]
    port: int
    data_dir: Path
    log_file: Path
    environment: dict[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        """Return the issuer, which is also the base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_token(self) -> str:
        """Return the admin token that the server made."""
        return (self.data_dir / "admin-token").read_text().strip()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 15,
    ) -> Response:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, names, response.read())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        """Send a GET request."""
        return self.request("GET", path, None, headers)

    def form(
        self,
        path: str,
        fields: Mapping[str, str] | list[tuple[str, str]] | str | bytes,
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Post a form, with Basic credentials when `auth` is given."""
        body = fields if isinstance(fields, str | bytes) else urlencode(fields)
        merged = {"Content-Type": FORM, **({"Authorization": basic(*auth)} if auth else {}), **(headers or {})}
        return self.request("POST", path, body, merged)

    def admin(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Call the management API, with the admin token unless another is given. `path` follows `/admin/v1`."""
        merged = {"Authorization": f"Bearer {token or self.admin_token}", "Content-Type": "application/json"}
        payload = None if body is None else json.dumps(body)
        return self.request(method, f"/admin/v1{path}", payload, {**merged, **(headers or {})})

    def create_client(self, **metadata: Any) -> dict[str, Any]:
        """Create a client for the API with scopes `read write`, unless `metadata` says otherwise; return it."""
        document = {"client_name": "test", "scope": "read write", "audiences": [API], **metadata}
        response = self.admin("POST", "/clients", document)
        assert response.status == 201, response.body
        client: dict[str, Any] = response.json()
        return client

    def create_resource(self, identifier: str, **policy: Any) -> dict[str, Any]:
        """Create a resource and return it."""
        response = self.admin("POST", "/resources", {"identifier": identifier, **policy})
        assert response.status == 201, response.body
        resource: dict[str, Any] = response.json()
        return resource

    def token_response(self, client: Mapping[str, Any], **fields: str) -> Response:
        """Ask for a token with Basic credentials."""
        return self.form("/oauth2/token", {"grant_type": "client_credentials", **fields}, credentials(client))

    def token(self, client: Mapping[str, Any], **fields: str) -> str:
        """Return an access token."""
        response = self.token_response(client, **fields)
        assert response.status == 200, response.body
        return str(response.json()["access_token"])

    def introspect(self, token: str, client: Mapping[str, Any]) -> Response:
        """Introspect a token as `client`."""
        return self.form("/oauth2/introspect", {"token": token}, credentials(client))

    def revoke(self, token: str, client: Mapping[str, Any]) -> Response:
        """Revoke a token as `client`."""
        return self.form("/oauth2/revoke", {"token": token}, credentials(client))

    def cli(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command line on this server's data directory."""
        return subprocess.run(
            [AUTHSERVER, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def start_server(
    data_dir: Path, *arguments: str, port: int | None = None, **settings: str
) -> contextlib.AbstractContextManager[RunningServer]:
    """Run `authserver serve --dev` until the block is left; `settings` are AUTHSERVER_* variables.

    The database in `data_dir`, where it is used, has its tables already.
    """
    if "AUTHSERVER_DATABASE_URL" not in settings:
        _provide_database(data_dir / DATABASE)
    return start_from_nothing(data_dir, *arguments, port=port, **settings)


@contextlib.contextmanager
def start_from_nothing(
    data_dir: Path, *arguments: str, port: int | None = None, **settings: str
) -> Iterator[RunningServer]:
    """Run it as `start_server` does, on what is in the directory: nothing, at a user's first start."""
    port = port or free_port()
    environment = _environment(data_dir, **{"AUTHSERVER_LOG_FORMAT": "json", **settings})
    log_file = data_dir / "server.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [AUTHSERVER, "serve", *(arguments or ("--dev",)), "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = RunningServer(process, port, data_dir, log_file, environment)
    with server.until_left("/health/ready", number=signal.SIGINT):  # SIGTERM may delay
        yield server


def _environment(data_dir: Path, **settings: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSERVER_")}
    return {**others, "AUTHSERVER_DATA_DIR": str(data_dir), **settings}


def _provide_database(path: Path) -> None:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(_migrated_database())


@cache
def _migrated_database() -> bytes:
    """Return what `migrate up` makes: half of the time of a first start, saved to all but those that are about it."""
    with tempfile.TemporaryDirectory() as directory:
        command = [AUTHSERVER, "migrate", "up"]
        subprocess.run(command, env=_environment(Path(directory)), check=True, capture_output=True)
        return Path(directory, DATABASE).read_bytes()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def basic(client_id: str, secret: str) -> str:
    """Return the value of an Authorization header, as most clients write it: not form-encoded."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def credentials(client: Mapping[str, Any]) -> tuple[str, str]:
    """Return id and secret of a created client."""
    return str(client["client_id"]), str(client["client_secret"])


def claims_of(token: str) -> dict[str, Any]:
    """Return the payload of a JWT, unverified."""
    return _segment(token, 1)


def header_of(token: str) -> dict[str, Any]:
    """Return the header of a JWT, unverified."""
    return _segment(token, 0)


def _segment(token: str, index: int) -> dict[str, Any]:
    part = token.split(".")[index]
    segment: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return segment
