"""Real proxies with the configurations of docs/forward-auth.md as they stand, before a service that echoes."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.redis_server import wait_for
from tests.server import free_port

PAGE = Path(__file__).parents[2] / "docs" / "forward-auth.md"
PROGRAMS = {name: shutil.which(name) or shutil.which(name, path="/usr/sbin") for name in ("nginx", "caddy")}

_LANGUAGES = {"nginx": "nginx", "caddy": "caddyfile"}
_NGINX = """\
%s
pid %s/nginx.pid;
error_log %s/error.log;
events {}
http {
    access_log off;
    client_body_temp_path %s/body;
    proxy_temp_path %s/proxy;
    fastcgi_temp_path %s/fastcgi;
    uwsgi_temp_path %s/uwsgi;
    scgi_temp_path %s/scgi;
    include %s/service.conf;
}
"""


@dataclass(frozen=True)
class Reply:
    """A response. Header names are in lower case; a repeated header has all its values."""

    status: int
    headers: Mapping[str, list[str]]
    body: bytes

    def seen(self) -> Any:
        """Return what the service got: method, target, all header fields in lower case, and body."""
        assert self.status == 200, (self.status, self.body)
        return json.loads(self.body)


@dataclass(frozen=True)
class Proxy:
    """A running proxy."""

    port: int

    def request(self, method: str, target: str, *fields: tuple[str, str], body: bytes = b"") -> Reply:
        """Send one request with exactly these header fields."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.putrequest(method, target)
            for name, value in fields:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            headers: dict[str, list[str]] = {}
            for name, value in response.getheaders():
                headers.setdefault(name.lower(), []).append(value)
            return Reply(response.status, headers, response.read())


@contextlib.contextmanager
def service() -> Iterator[int]:
    """Run a service that answers with what it got; yield its port."""

    class Service(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fields = [(name.lower(), value) for name, value in self.headers.items()]
            got = {"method": self.command, "target": self.path, "fields": fields, "body": body.decode()}
            answer = json.dumps(got).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Service) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield running.server_port
        finally:
            running.shutdown()
            thread.join()


@contextlib.contextmanager
def proxy(name: str, directory: Path, *, authserver: int, service: int) -> Iterator[Proxy]:
    """Run the proxy `name` as the page has it: only addresses and the places of files are other ones."""
    port = free_port()
    (snippet,) = re.findall(rf"^```{_LANGUAGES[name]}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    text = snippet.replace("127.0.0.1:8000", f"127.0.0.1:{authserver}").replace(
        "127.0.0.1:9000", f"127.0.0.1:{service}"
    )
    start = {"nginx": nginx, "caddy": _caddy}[name]
    environment = {**os.environ, "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    with (
        (directory / "output.log").open("ab") as log,
        subprocess.Popen(
            start(directory, text, port), stdout=log, stderr=subprocess.STDOUT, env=environment
        ) as process,
    ):
        try:
            wait_for(lambda: process.poll() is not None or _is_open(port), name)
            assert process.poll() is None, (directory / "output.log").read_text()
            yield Proxy(port)
        finally:
            process.terminate()


def nginx(directory: Path, text: str, port: int) -> list[str]:
    """Write the files of an nginx with one `server` that listens on `port`; return the command that runs it."""
    (directory / "service.conf").write_text(text.replace("listen 8080", f"listen 127.0.0.1:{port}"))
    user = "user root;" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(_NGINX % (user, *[directory] * 8))
    return [str(PROGRAMS["nginx"]), "-p", str(directory), "-e", str(directory / "error.log"),
            "-c", str(directory / "nginx.conf"), "-g", "daemon off;"]  # fmt: skip


def _caddy(directory: Path, text: str, port: int) -> list[str]:
    text = "{\n\tadmin off\n\tauto_https off\n}\n" + text.replace("http://:8080", f"http://127.0.0.1:{port}")
    (directory / "Caddyfile").write_text(text)
    return [str(PROGRAMS["caddy"]), "run", "--adapter", "caddyfile", "--config", str(directory / "Caddyfile")]


def _is_open(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.connect()
        return True
    return False
