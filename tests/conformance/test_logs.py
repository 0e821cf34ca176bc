"""The LOG section of the catalogue: one record a line, failures of the store, bounded metrics."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from pathlib import Path

import pytest

from tests.conformance.expectations import assert_not_logged, send_raw
from tests.server import RunningServer, start_server

FORGED = [
    'a","level":"error","event":"forged',
    "a level=error event=forged",
    "a\r\n18:00:00.000 error    forged",
    "a\x1b[31mforged\x1b[0m",
    "a\u2028forged",
    "a\x85forged",
    "a\u202eforged",
    "a\x00forged",
]
PATHS = [b'/x","level":"error","event":"forged', b"/x%0d%0aforged", b"/x%1b%5b31mforged", b"/x=y,event=forged"]
SAMPLE = re.compile(r"^(\w+)(\{[^}]*\})? ", re.MULTILINE)


@pytest.mark.parametrize("style", ["json", "text"])
def test_one_record_a_line(tmp_path: Path, style: str) -> None:
    """LOG-01: quotes, CR, LF and escape sequences in ids, headers and paths stay inside one field of one record."""
    with start_server(tmp_path, AUTHSERVER_LOG_FORMAT=style, AUTHSERVER_LOG_LEVEL="debug") as server:
        before = server.log()
        for text in FORGED:
            assert server.form("/oauth2/token", {"grant_type": "client_credentials"}, (text, "s")).status == 401
            fields = {"client_id": text, "client_secret": "s", "grant_type": text, "scope": text, "token": text}
            for path in ("/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"):
                assert server.form(path, fields).status in {400, 401}
        for target in PATHS:
            head = (
                b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nUser-Agent: \x9b31m\xe9\r\nX-Forwarded-For: forged\r\n\r\n"
            )
            assert send_raw(server, head).status == 404
        log = server.log().removeprefix(before)
    assert log.isprintable() or set(filter(lambda c: not c.isprintable(), log)) == {"\n"}
    lines = log.splitlines()
    audited = 2 * 4  # the two ids that are printable, refused by the authentication itself
    assert len(lines) == len(FORGED) * 4 + len(PATHS) + audited
    for line in lines:
        event = json.loads(line)["event"] if style == "json" else line.split()[2]
        assert event in {"request", "client_authentication.refused"}
        if style == "text":
            assert line.count(" event=") == line.count(" level=") == 0 or '"a level=error event=forged"' in line


def test_failing_statement_hides_its_parameters(server: RunningServer) -> None:
    """LOG-03: a statement that fails with a secret among its parameters is 503, and shows neither it nor its hash."""
    secret = "canary-import-0123456789-abcdefghijklm"
    client = server.create_client()
    database = sqlite3.connect(server.data_dir / "authserver.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    created = server.admin("POST", "/clients", {"client_name": "n", "client_id": "i", "client_secret": secret})
    rotated = server.admin("POST", f"/clients/{client['client_id']}/secrets", {})
    assert time.monotonic() - began < 4
    database.execute("ROLLBACK")
    database.close()
    for response in (created, rotated):
        assert (response.status, response.json()["error"]) == (503, "temporarily_unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert secret.encode() not in response.body
    assert_not_logged(server, secret, "pbkdf2-sha256", "INSERT", "parameters")


def test_metrics_are_bounded(server: RunningServer) -> None:
    """LOG-04: unknown clients, paths, methods, tokens and grant types add no label value beyond a fixed set."""
    client = server.create_client()
    server.token(client)
    for round_ in range(2):  # the first round meets each outcome once
        samples = sum(1 for _ in SAMPLE.finditer(server.get("/metrics").body.decode()))
        for number in range(25):
            unknown = f"unknown-{round_}-{number}"
            fields = {"grant_type": unknown, "scope": unknown, "token": unknown, "token_type_hint": unknown}
            server.form("/oauth2/token", fields, (unknown, unknown))
            server.form("/oauth2/token", fields, (client["client_id"], client["client_secret"]))
            server.form("/oauth2/introspect", fields, (unknown, unknown))
            server.get(f"/{unknown}")
            server.request(["PUT", "TRACE", "QUERY", "LOCK"][number % 4], "/oauth2/token")
            server.admin("GET", f"/clients/{unknown}")
    after = server.get("/metrics").body.decode()
    assert sum(1 for _ in SAMPLE.finditer(after)) == samples
    assert "unknown-" not in after
    assert f'client_id="{client["client_id"]}"' in after


def test_endpoints_have_names(server: RunningServer) -> None:
    """LOG-04: the metrics name every endpoint by its name in the route table, never by its path."""
    for path in ("/oauth2/token", "/health/live", "/nothing", "/admin/v1/clients/nobody"):
        server.get(path)
    text = server.get("/metrics").body.decode()
    names = set(re.findall(r'endpoint="([^"]*)"', text))
    assert {"token", "live", "admin"} <= names
    assert not any("/" in name for name in names)
