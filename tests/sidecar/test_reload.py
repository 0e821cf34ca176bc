"""SIGHUP while the authorization server is away: what is known is kept."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from authserver.core.resource import SigningAlg
from tests.redis_server import wait_for
from tests.resource_server.issuer import Issuer
from tests.resource_server.scripted import CREDENTIALS, FEED, answer, scripted
from tests.server import claims_of
from tests.sidecar.beside import start_sidecar


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
        (tmp_path / "verifier.json").write_text(json.dumps(server.document()))
        (tmp_path / "secret").write_text(CREDENTIALS["client_secret"])
        options = ["--config", str(tmp_path / "verifier.json"), "--client-id", CREDENTIALS["client_id"]]
        options += ["--client-secret-file", str(tmp_path / "secret"), "--fail-open"]
        with start_sidecar(tmp_path, *options) as sidecar:
            assert sidecar.forward(token).status == 401
            assert sidecar.forward(server.issuer.mint()).status == 204
            server.answers[FEED] = answer(503, {})
            sidecar.process.send_signal(signal.SIGHUP)
            wait_for(lambda: bool(sidecar.events("reload.refused")), "the refusal", seconds=15)
            assert sidecar.forward(token).status == 401
