"""The whole job once, against a server that this script starts: create, issue, check, introspect, revoke.

Run it with `make demo`. It needs the standard library and PyJWT, as a service of yours would.
"""
# ruff: noqa: T201, S603, S310, INP001 - a script: it prints, starts the program beside it, and asks that alone

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import jwt

API = "https://api.example.com"
USER = "user-live-7c1f"
TEMPLATE = '{ "user_id": {{ client.trusted_metadata.stytch_user_id }} }'

AUTHSERVER = Path(sys.executable).with_name("authserver")
START_SECONDS = 30.0
STOP_SECONDS = 15.0
LONG_SECRET = re.compile(r"\b(eyJ[\w-]{12}|cs_\w{6})[\w.-]+")

Document = dict[str, Any]


class Server:
    """A running server: its command line, and its HTTP endpoints."""

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        """`environment` names the data directory."""
        self.url = url
        self._environment = environment

    def command(self, *arguments: str, stdin: str = "") -> Document:
        """Run `authserver` with `--json` and return what it prints."""
        command = " ".join(f"'{one}'" if set(one) & set(' {"') else one for one in arguments)
        piped = f"echo '{stdin}' | " if stdin else ""
        tell(f"$ {piped}authserver {command} --json")
        done = subprocess.run(
            [AUTHSERVER, *arguments, "--json"],
            env=self._environment,
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
        )
        expect(done.returncode == 0, done.stderr.strip())
        document: Document = json.loads(done.stdout)
        return document

    def post(self, path: str, client: Document, **fields: str) -> Document:
        """POST a form as `client` (HTTP Basic) and return the JSON answer, {} for an empty one."""
        credentials = f"{client['client_id']}:{client['client_secret']}"
        tell(f"$ curl -u {credentials} -d '{urlencode(fields)}' {self.url}{path}")
        headers = {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"}
        with urlopen(Request(self.url + path, urlencode(fields).encode(), headers), timeout=10) as response:
            document: Document = json.loads(response.read() or "{}")
        return document


def main() -> None:
    """Do every step, and show what comes back."""
    with running_server() as server:
        client = prepare(server)
        use(server, client)
    print("\nEverything is as expected.")


def prepare(server: Server) -> Document:
    """Register what the administrator registers once; return the client."""
    step("Register a resource, the service that tokens are for")
    scopes = ("--scope", "read", "--scope", "write includes read")
    resource = server.command("resources", "create", "--identifier", API, *scopes)
    show(resource, "identifier", "signing_alg", "token_typ")

    step("Create a client whose trusted metadata names a user")
    rights = ("--scope", "read write", "--audience", API)
    metadata = json.dumps({"stytch_user_id": USER})
    client = server.command("clients", "create", "--name", "billing", *rights, "--metadata", metadata)
    show(client, "client_id", "client_secret", "trusted_metadata")

    step("Save a claims template, and preview it")
    show(server.command("claims", "set", "-", stdin=TEMPLATE), "version")
    show(server.command("claims", "preview", "--client", client["client_id"]))
    time.sleep(1)  # a running server obeys the command line within a second
    return client


def use(server: Server, client: Document) -> None:
    """Do what clients and services do all day."""
    step("Get a token")
    answer = server.post("/oauth2/token", client, grant_type="client_credentials", scope="read")
    show(answer)
    token = answer["access_token"]

    step("Check it locally, with the keys that the server publishes")
    claims = checked_locally(server.url, token)
    show(claims)
    expect(claims["user_id"] == USER, "the token does not name the user")

    step("Introspect it")
    found = server.post("/oauth2/introspect", client, token=token)
    show(found, "active", "client_id", "scope", "user_id")
    expect(found["active"] is True, "the token is not active")

    step("Revoke it")
    show(server.post("/oauth2/revoke", client, token=token))

    step("Introspect it again")
    found = server.post("/oauth2/introspect", client, token=token)
    show(found)
    expect(found == {"active": False}, "the revoked token is still active")


def checked_locally(url: str, token: str) -> Document:
    """Verify the token as a resource service does: key, algorithm, type, issuer, audience and time (RFC 9068 §4)."""
    tell(f"PyJWKClient('{url}/.well-known/jwks.json')")
    key = jwt.PyJWKClient(f"{url}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    expect(jwt.get_unverified_header(token)["typ"] == "at+jwt", "the token is of another type")
    return jwt.decode(token, key, algorithms=["ES256"], issuer=url, audience=API)


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a server with a data directory of its own, and end it with the block."""
    with tempfile.TemporaryDirectory(prefix="authserver-demo-") as data, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTHSERVER_")}
        environment["AUTHSERVER_DATA_DIR"] = data
        step("Start a server")
        tell(f"$ authserver serve --dev --port {url.rpartition(':')[2]}")
        with (Path(data) / "server.log").open("w+") as log:
            process = subprocess.Popen(
                [AUTHSERVER, "serve", "--dev", "--port", url.rpartition(":")[2]],
                env=environment,
                stdout=log,
                stderr=log,
            )
            try:
                wait_until_ready(process, url, Path(log.name))
                yield Server(url, environment)
            finally:
                process.terminate()
                process.wait(STOP_SECONDS)


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return once the server answers; end the demo with its log when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(f"{url}/health/ready", timeout=1) as response:
                show(json.load(response))
                return
        except (URLError, OSError):
            time.sleep(0.05)
    sys.exit(f"The server did not start:\n{log.read_text()}")


def step(title: str) -> None:
    """Begin a step."""
    print(f"\n── {title}")


def tell(line: str) -> None:
    """Print one line, with tokens and secrets cut short."""
    print(LONG_SECRET.sub(r"\1…", line), flush=True)


def show(document: Document, *names: str) -> None:
    """Print an answer, or the named members of it."""
    chosen = {name: document[name] for name in names} if names else document
    tell(json.dumps(chosen, indent=2) if chosen else "(200, empty)")


def expect(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    """End the demo with exit code 1 unless the condition holds."""
    if not condition:
        sys.exit(f"Not as expected: {otherwise}")


if __name__ == "__main__":
    main()
