"""LOG-02: everything that is secret is sent everywhere, and must be found nowhere afterwards."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from authserver.admin.routes import OPERATIONS
from authserver.core.secret import generate_secret, is_generated
from tests.conformance.expectations import send_raw
from tests.server import API, Response, RunningServer, basic, credentials, start_server

CHOSEN = "canary-chosen-elsewhere-0123456789"
UNKNOWN = "canary-of-nobody-0123456789"
WRONG_ADMIN = "canary-admin-token-0123456789-abcdef"
ASSERTION = base64.urlsafe_b64encode(b'{"alg":"RS256"}').decode() + ".canaryassertion.c2lnbmF0dXJl"
HANDED_OUT = ("access_token", "client_secret", "hs256_secret")
SHARED = base64.urlsafe_b64encode(b"canary canary canary canary canary canary").decode().rstrip("=")


@dataclass
class Witness:
    """A server, all that was answered, and every secret that was ever in play."""

    server: RunningServer
    answers: list[Response] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    def saw(self, *responses: Response) -> None:
        """Keep what was answered, and each secret that was handed out in it."""
        self.answers += responses
        for response in responses:
            if response.status in {200, 201} and response.body.startswith(b"{"):
                document = response.json()
                self.keep(*(document[name] for name in HANDED_OUT if document.get(name)))

    def keep(self, *secrets: str) -> None:
        """Remember secrets, and the ways in which they could be written into a log."""
        for secret in secrets:
            self.secrets |= {secret, base64.b64encode(secret.encode()).decode()}
            if secret.count(".") == 2:  # a JWT: its signature alone is secret enough
                self.secrets.add(secret.rpartition(".")[2])


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    """Yield a server at DEBUG after requests of every kind, good and bad."""
    data_dir: Path = tmp_path_factory.mktemp("canaries")
    with start_server(data_dir, AUTHSERVER_LOG_LEVEL="debug") as server:
        witness = Witness(server)
        witness.keep(CHOSEN, UNKNOWN, WRONG_ADMIN, ASSERTION, SHARED, generate_secret("secret"))
        witness.keep(server.admin_token, (data_dir / "secret-key").read_text().strip())
        ask_as_client(witness)
        ask_as_administrator(witness)
        yield witness


def ask_as_client(witness: Witness) -> None:
    """Get, introspect and revoke tokens with right, wrong and misplaced credentials."""
    server = witness.server
    for client in (
        server.create_client(),
        server.create_client(token_endpoint_auth_method="client_secret_post"),
        server.create_client(client_id="imported", client_secret=CHOSEN),
    ):
        client_id, secret = credentials(client)
        token = _token(server, client)
        witness.keep(secret, token, basic(client_id, secret).removeprefix("Basic "))
        paths = ("/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/authorize")
        for path in paths[: 1 if secret == CHOSEN else None]:  # from then on each wrong secret is slow to check
            _ask_everything(witness, path, client_id, secret, token)
            for junk in (f"Bearer {token}", f"Basic {secret}", f"DPoP {token}", secret, f"Basic {client_id}:{secret}"):
                witness.saw(server.form(path, {"grant_type": "client_credentials"}, None, {"Authorization": junk}))


def _ask_everything(witness: Witness, path: str, client_id: str, secret: str, token: str) -> None:
    server, form = witness.server, {"grant_type": "client_credentials", "token": token}
    query = f"?client_secret={secret}&access_token={token}&token={token}"
    assertion = {"client_assertion": ASSERTION, "client_assertion_type": secret}
    swapped = (secret, client_id) if is_generated(secret) else None  # no other secret can be told from an id
    for auth in (None, (client_id, secret), (client_id, UNKNOWN), ("nobody", secret), swapped):
        posted = {"client_id": auth[0], "client_secret": auth[1]} if auth else {}
        witness.saw(
            server.form(path, form, auth),
            server.form(path, {**form, **posted}),
            server.form(path, {**form, **posted}, auth),
            server.form(path, {**form, **assertion}, auth),
            server.form(path, {"token": token[:-1], "grant_type": secret, "scope": secret, "resource": secret}, auth),
            server.form(path, [("token", token), ("token", token)], auth),
            server.form(path + query, form, auth),
            server.request("POST", path, json.dumps({**form, **posted}), {"Content-Type": "application/json"}),
            server.get(path + query, {"Authorization": basic(*auth)} if auth else {}),
            server.form(path, form, auth, {"Cookie": secret, "User-Agent": token, "X-Forwarded-For": secret}),
        )
    cut = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {secret}\r\nContent-Length: x\r\n\r\n{secret}"
    witness.saw(send_raw(server, cut.encode()))


def ask_as_administrator(witness: Witness) -> None:
    """Do every act of administration, and try each without the right to."""
    server = witness.server
    client = server.create_client(client_name="rotated")
    started = server.admin("POST", f"/clients/{client['client_id']}/secrets", {})
    witness.keep(client["client_secret"], started.json()["client_secret"])
    shared = server.create_resource("https://hs.example.com", signing_alg="HS256", hs256_secret=SHARED)
    witness.keep(shared["hs256_secret"])
    hs = server.create_client(audiences=["https://hs.example.com"], scope="")
    witness.keep(hs["client_secret"], _token(server, hs))
    for operation in OPERATIONS:
        path = operation.description.path.replace("{client_id}", client["client_id"])
        for name in ("{credential_id}", "{resource_id}", "{kid}"):
            path = path.replace(name, "unknown")
        for token in (server.admin_token, WRONG_ADMIN, _token(server, hs)):
            for body in (f'{{"client_secret": "{UNKNOWN}"}}', f'{{"value": "{CHOSEN}"', CHOSEN):
                headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
                witness.saw(server.request(operation.description.method, path, body, headers))
            witness.saw(server.get(f"{path}?access_token={token}&after={token}", {"Authorization": f"Basic {token}"}))
            witness.keep(token)


def _token(server: RunningServer, client: Mapping[str, Any]) -> str:
    if client["token_endpoint_auth_method"] == "client_secret_basic":
        return server.token(client, **({"resource": API} if API in client["audiences"] else {}))
    fields = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    response = server.form("/oauth2/token", {"grant_type": "client_credentials", **fields})
    assert response.status == 200
    return str(response.json()["access_token"])


def found(witness: Witness, *places: bytes) -> list[str]:
    """Return the secrets that stand in one of the places."""
    return [secret for secret in witness.secrets if any(secret.encode() in place for place in places)]


def test_nothing_in_the_log(witness: Witness) -> None:
    """LOG-02, U4: no secret, token, assertion or Authorization value in the log at DEBUG, and no traceback."""
    log = witness.server.log()
    assert log.count('"event":"request"') > 500
    assert found(witness, log.encode()) == []
    assert "Traceback" not in log
    assert "?" not in "".join(json.loads(line).get("path", "") for line in log.splitlines() if line.startswith("{"))


def test_nothing_in_the_metrics(witness: Witness) -> None:
    """LOG-02, U4: none in the metrics."""
    assert found(witness, witness.server.get("/metrics").body) == []


def test_nothing_in_the_database(witness: Witness) -> None:
    """LOG-02: none in the bytes of the database and of its write-ahead log, keys and shared secrets included."""
    files = [path.read_bytes() for path in witness.server.data_dir.glob("authserver.db*")]
    assert sum(map(len, files)) > 50_000
    assert found(witness, *files) == []
    assert b"PRIVATE KEY" not in b"".join(files)


def test_nothing_in_the_answers(witness: Witness) -> None:
    """LOG-02, U1, U2: none in any refusal, and never a 5xx."""
    refusals = [answer for answer in witness.answers if answer.status >= 400]
    assert len(refusals) > 500
    assert all(answer.status < 500 for answer in witness.answers)
    assert found(witness, *(answer.body + str(answer.headers).encode() for answer in refusals)) == []


def test_the_search_can_find(witness: Witness) -> None:
    """LOG-02: the same search does find the token in an answer that holds one."""
    assert any(found(witness, answer.body) for answer in witness.answers if answer.status == 200)
