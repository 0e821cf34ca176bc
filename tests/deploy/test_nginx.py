"""nginx.conf, run by a real nginx before a real server: what passes, what stays inside, what an outage looks like."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.documents import COMPOSE, DEPLOY, instructions
from tests.server import FORM, RunningServer, basic, credentials, free_port, start_server

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIGURATION = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
TOKEN = "/oauth2/token"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt-get install nginx-light")


class Front:
    """A running nginx, talked to over TLS."""

    def __init__(self, port: int, directory: Path) -> None:
        self.port, self.directory = port, directory
        self._trust = ssl.create_default_context(cafile=str(directory / "tls_certificate"))

    def request(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send one request and return status, headers and body."""
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=10, context=self._trust)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): v for name, v in headers.items()})
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def log(self) -> str:
        """Return the access log."""
        return (self.directory / "access.log").read_text()


@contextlib.contextmanager
def front_of(directory: Path, *ports: int) -> Iterator[Front]:
    """Run nginx with the file's own words: only paths, the port and the two instances' addresses are replaced."""
    subprocess.run([str(DEPLOY / "make-secrets"), str(directory)], check=True, capture_output=True)
    port, text = free_port(), CONFIGURATION.replace(" /tmp", f" {directory}")
    for name, instance in zip(("authserver-1", "authserver-2"), ports, strict=True):
        text = text.replace(f"{name}:8000", f"127.0.0.1:{instance}")
    text = text.replace("/run/secrets/", f"{directory}/")
    text = text.replace("/dev/stdout", f"{directory}/access.log").replace("/dev/stderr", f"{directory}/error.log")
    text = text.replace("listen 8443", f"listen 127.0.0.1:{port}")
    file = directory / "nginx.conf"
    file.write_text(f"{'user root;' if os.geteuid() == 0 else ''}\n{text}", encoding="utf-8")
    command = [str(NGINX), "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(file)]
    subprocess.run([*command, "-t", "-q"], check=True)
    with subprocess.Popen([*command, "-g", "daemon off;"]) as process:
        try:
            wait_for(port)
            yield Front(port, directory)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Front, RunningServer]]:
    """One live instance and one that is away, nginx before them, trusted as the compose file says."""
    data = tmp_path_factory.mktemp("data")
    with (
        start_server(data, AUTHSERVER_TRUSTED_PROXIES="127.0.0.1/32") as server,
        front_of(tmp_path_factory.mktemp("nginx"), free_port(), server.port) as running,
    ):
        yield running, server


def test_the_instances_of_the_compose_file_are_the_upstreams() -> None:
    """Both files name the same instances and the same port."""
    services = [name for name in COMPOSE["services"] if name.startswith("authserver-")]
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    port = next(rest for word, rest in instructions(dockerfile) if word == "EXPOSE")
    assert all(f"server {name}:{port} " in CONFIGURATION for name in services)


def test_tokens_are_had_though_one_instance_is_away(front: tuple[Front, RunningServer]) -> None:
    """Every POST gets its answer: the instance that refuses is passed over."""
    running, server = front
    authorization = basic(*credentials(server.create_client()))
    for _ in range(6):
        status, headers, body = running.request(
            "POST", TOKEN, "grant_type=client_credentials", Authorization=authorization, Content_Type=FORM
        )
        assert (status, headers["Cache-Control"]) == (200, "no-store")
        assert json.loads(body)["token_type"] == "Bearer"


@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/health/ready"])
def test_what_services_need_passes(front: tuple[Front, RunningServer], path: str) -> None:
    """Metadata, keys and readiness are for everybody."""
    assert front[0].request("GET", path)[0] == 200


@pytest.mark.parametrize("path", ["/admin/v1/clients", "/%61dmin/v1/clients", "/oauth2/../metrics", "/metrics", "/"])
def test_what_operators_need_stays_inside(front: tuple[Front, RunningServer], path: str) -> None:
    """Management and metrics answer 404 from outside, in any spelling, with the right token too."""
    running, server = front
    assert running.request("GET", path, Authorization=f"Bearer {server.admin_token}")[0] == 404


def test_a_caller_cannot_choose_its_address(front: tuple[Front, RunningServer]) -> None:
    """X-Forwarded-For is what nginx saw, whatever the caller wrote into it."""
    running, server = front
    running.request("POST", TOKEN, "grant_type=none", X_Forwarded_For="203.0.113.66", Content_Type=FORM)
    assert "127.0.0.1" in server.log()
    assert "203.0.113.66" not in server.log()


def test_a_token_in_a_query_string_reaches_no_log(front: tuple[Front, RunningServer]) -> None:
    """It is refused by the server, and nginx logs the path alone."""
    running, _ = front
    assert running.request("POST", "/oauth2/introspect?token=leaked", "", Content_Type=FORM)[0] == 400
    assert "POST /oauth2/introspect" in running.log()
    assert "leaked" not in running.log()


def test_an_instance_that_knows_itself_unable_is_passed_over(
    front: tuple[Front, RunningServer], tmp_path: Path
) -> None:
    """A POST answered with 503 is asked again of the other instance, which lost nothing; the caller sees 200."""
    _, server = front
    authorization = basic(*credentials(server.create_client()))
    with unable() as port, front_of(tmp_path, port, server.port) as running:
        for _ in range(6):
            answer = running.request(
                "POST", TOKEN, "grant_type=client_credentials", Authorization=authorization, Content_Type=FORM
            )
            assert answer[0] == 200
        assert "503, 200" in running.log()


def test_without_any_instance_the_answer_is_an_oauth_error(tmp_path: Path) -> None:
    """503, JSON, not to be stored, when to come again: never a page of nginx, never another error."""
    with front_of(tmp_path, free_port(), free_port()) as running:
        for _ in range(4):
            status, headers, body = running.request("POST", TOKEN, "", Content_Type=FORM)
            assert (status, headers["Retry-After"], headers["Cache-Control"]) == (503, "1", "no-store")
            assert json.loads(body)["error"] == "temporarily_unavailable"


@contextlib.contextmanager
def unable() -> Iterator[int]:
    """Answer every POST with 503, as an instance does that has lost its database; yield the port."""

    class Unable(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(503)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Unable) as stand_in:
        threading.Thread(target=stand_in.serve_forever, daemon=True).start()
        yield stand_in.server_port
        stand_in.shutdown()


def wait_for(port: int) -> None:
    """Wait until the port is open."""
    deadline = time.monotonic() + 10
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            with contextlib.closing(connection):
                connection.connect()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
