"""SIGHUP while the authorization server is away, and before the sidecar serves."""

from __future__ import annotations

import json
import signal
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from authserver.core.resource import SigningAlg
from tests.redis_server import wait_for
from tests.resource_server.issuer import Issuer
from tests.resource_server.scripted import FEED, answer, scripted, send
from tests.server import claims_of
from tests.sidecar.beside import RunningSidecar, scripted_files, start_sidecar


def test_what_was_revoked_is_not_forgotten_for_fail_open(tmp_path: Path) -> None:
    """A fresh verifier with --fail-open and the secrets of HS256 judges at once, and would let everybody in again."""
    with scripted(Issuer(SigningAlg.HS256)) as server:
        token = server.issuer.mint()
        now = claims_of(token)["iat"]
        revoked = {
            "kind": "jti",
            "value": claims_of(token)["jti"],
            "revoked_at_ms": now * 1000,
            "expires_at": now + 999,
        }
        server.entries.append(revoked)
        with start_sidecar(tmp_path, *scripted_files(tmp_path, server), "--fail-open") as sidecar:
            assert sidecar.forward(token).status == 401
            assert sidecar.forward(server.issuer.mint()).status == 204
            server.answers[FEED] = answer(503, {})
            sidecar.process.send_signal(signal.SIGHUP)
            wait_for(lambda: bool(sidecar.events("reload.refused")), "the refusal", seconds=15)
            assert sidecar.forward(token).status == 401


def test_what_is_asked_for_during_the_start_is_done_after_it(tmp_path: Path) -> None:
    """Rules that changed after they were read, but before anything listened, count without a second SIGHUP."""
    rules, asked, go_on = tmp_path / "rules.json", threading.Event(), threading.Event()

    def write(**demand: object) -> None:
        rules.write_text(json.dumps({"rules": [{"methods": ["*"], "path": "/**", **demand}]}))

    with scripted() as server:

        def stall(handler: BaseHTTPRequestHandler) -> None:
            asked.set()
            go_on.wait(10)
            send(handler, 200, server.page(None))

        def change(sidecar: RunningSidecar) -> None:
            assert asked.wait(20)
            write(scope="read")
            sidecar.process.send_signal(signal.SIGHUP)
            del server.answers[FEED]
            go_on.set()

        write(anonymous=True)
        server.answers[FEED] = stall
        options = [*scripted_files(tmp_path, server), "--rules", str(rules)]
        with start_sidecar(tmp_path, *options, meanwhile=change) as sidecar:
            wait_for(lambda: bool(sidecar.events("reload.done")), "the reload")
            fields = {"X-Original-Method": "GET", "X-Original-URI": "/a"}
            assert sidecar.forward(None, headers=fields).status == 401
