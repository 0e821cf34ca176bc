"""RS-07: the centre goes away, and comes back."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.conformance.expectations import assert_unavailable
from tests.redis_server import wait_for
from tests.resource_server.deployment import Deployment
from tests.resource_server.scripted import scripted
from tests.server import start_server
from tests.sidecar.beside import RunningSidecar, scripted_files, sidecar_files, start_sidecar

MAX_STALENESS = 4.0


def is_ready(sidecar: RunningSidecar) -> bool:
    """Tell whether the sidecar says that it can judge."""
    return sidecar.get("/health/ready").status == 200


def age_of(sidecar: RunningSidecar) -> float:
    """Return how old the knowledge is."""
    return float(sidecar.get("/health/live").headers["x-auth-knowledge-age"])


def test_the_centre_is_killed_and_comes_back(tmp_path: Path) -> None:
    """RS-07: answers go on by the last list until max staleness, then 503 with a metric; later all is well again."""
    (tmp_path / "data").mkdir()
    with start_server(tmp_path / "data") as server:
        deployment = Deployment.of(server)
        good, revoked = (server.token(deployment.caller) for _ in range(2))
        files = sidecar_files(tmp_path, deployment)
        deployment.revoke({"Authorization": f"Bearer {revoked}"})
        with (
            start_sidecar(tmp_path, *files, "--max-staleness", str(MAX_STALENESS)) as strict,
            start_sidecar(tmp_path / "data", *files, "--max-staleness", str(MAX_STALENESS), "--fail-open") as lax,
        ):
            server.stop(signal.SIGKILL)
            assert [strict.forward(token).status for token in (good, revoked)] == [204, 401]
            assert strict.introspect(revoked).body == b'{"active":false}'
            assert age_of(strict) < MAX_STALENESS
            wait_for(lambda: not is_ready(strict), "doubt")
            assert age_of(strict) > MAX_STALENESS
            assert_unavailable(strict.forward(good))
            assert_unavailable(strict.forward(revoked))
            assert_unavailable(strict.introspect(good))
            assert_unavailable(strict.get("/.well-known/jwks.json"))
            assert strict.get("/health/live").status == 200
            assert "ago" in strict.get("/health/ready").json()["reasons"][0]
            assert strict.metric("ready") == 0
            assert strict.metric("staleness_seconds") > MAX_STALENESS
            assert strict.metric("feed_failures_total") > 0
            assert strict.metric("unavailable_total") >= 3
            wait_for(lambda: "degraded" in lax.get("/health/ready").json(), "the same age")
            assert [lax.forward(token).status for token in (good, revoked)] == [204, 401]
            assert lax.events("sidecar.fail_open")
            wait_for(lambda: bool(lax.events("sidecar.judging_by_old_knowledge")), "the alarm")
            with start_server(tmp_path / "data", port=server.port):
                wait_for(lambda: is_ready(strict), "the centre")
                assert [strict.forward(token).status for token in (good, revoked)] == [204, 401]
                assert strict.get("/.well-known/jwks.json").status == 200
            wait_for(lambda: len(strict.events("sidecar.not_ready")) > 0, "the line in the log")
            assert "revocation feed is lost" in json.dumps(strict.events("verifier.message"))


def test_a_start_while_the_centre_is_away(deployment: Deployment, tmp_path: Path) -> None:
    """Whoever starts first gets no wrong answer: 503 and `unknown`, until the centre is there."""
    with deployment.detour() as (document, appear):
        files = sidecar_files(tmp_path, deployment, document)
        with start_sidecar(tmp_path, *files) as sidecar:
            answer = sidecar.forward(deployment.server.token(deployment.caller))
            assert_unavailable(answer)
            assert answer.headers["x-auth-knowledge-age"] == "unknown"
            ready = sidecar.get("/health/ready")
            assert ready.status == 503
            assert "feed has not answered" in " ".join(ready.json()["reasons"])
            assert_unavailable(sidecar.get("/.well-known/jwks.json"))
            assert sidecar.metric("staleness_seconds") == float("inf")
            appear()
            wait_for(lambda: is_ready(sidecar), "the centre")
            assert sidecar.forward(deployment.server.token(deployment.caller)).status == 204


def test_an_issuer_without_any_key(tmp_path: Path) -> None:
    """A JWK Set without a key is no reason to refuse every token as a bad one: 503 says why, until there is a key."""
    with scripted() as server:
        key = server.keys.pop()
        with start_sidecar(tmp_path, *scripted_files(tmp_path, server)) as sidecar:
            token = server.issuer.mint()
            ready = sidecar.get("/health/ready")
            assert (ready.status, len(ready.json()["reasons"])) == (503, 1)
            assert "no key of the issuer" in ready.json()["reasons"][0]
            assert [sidecar.metric(name) for name in ("ready", "keys", "key_failures_total")] == [0, 0, 0]
            assert_unavailable(sidecar.forward(token))
            assert_unavailable(sidecar.introspect(token))
            assert_unavailable(sidecar.get("/.well-known/jwks.json"))
            server.keys.append(key)
            wait_for(lambda: is_ready(sidecar), "the key")
            assert (sidecar.metric("ready"), sidecar.forward(token).status) == (1, 204)
