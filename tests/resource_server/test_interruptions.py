"""The verifier and its server when the network breaks, the server starts again, or its database is another one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from authserver.resource_server import CannotVerify, InvalidToken, ThreadVerifier
from tests.faults.proxy import proxy_to
from tests.redis_server import wait_for
from tests.resource_server.deployment import Deployment
from tests.server import RunningServer, start_server

CUTS = 20


def is_refused(verifier: ThreadVerifier, text: str) -> bool:
    """Tell whether a token is refused as revoked."""
    try:
        verifier.verify(text)
    except InvalidToken as refusal:
        return refusal.reason == "revoked"
    return False


def redirected(deployment: Deployment, port: int) -> dict[str, Any]:
    """Return the configuration with its endpoints at another port."""
    direct, detour = deployment.server.url, f"http://127.0.0.1:{port}"
    return {
        name: value.replace(direct, detour) if name.endswith(("_uri", "_endpoint")) else value
        for name, value in deployment.document.items()
    }


def revoke(server: RunningServer, text: str, deployment: Deployment) -> None:
    """Revoke a token at the server."""
    assert server.revoke(text, deployment.caller).status == 200


def test_rs_07_nothing_is_missed_when_connections_break(deployment: Deployment) -> None:
    """RS-07: each of the tokens revoked around twenty cuts is refused soon after, and no good one ever is."""
    server = deployment.server
    good = server.token(deployment.caller)
    with (
        proxy_to(server.port) as proxy,
        ThreadVerifier.from_config(redirected(deployment, proxy.port), **deployment.options) as verifier,
    ):
        for number in range(CUTS):
            before, after = (server.token(deployment.caller) for _ in range(2))
            assert verifier.verify(after)
            if number % 2:
                revoke(server, before, deployment)
                proxy.cut()
            else:
                proxy.cut()
                revoke(server, before, deployment)
            assert verifier.verify(good)
            wait_for(lambda text=before: is_refused(verifier, text), "the revocation", 3)  # type: ignore[misc]
            assert verifier.verify(after)
        assert verifier.status().feed_failures > 0
        assert verifier.status().unavailable == 0


def test_rs_07_a_silent_network(deployment: Deployment) -> None:
    """RS-07: a connection that says nothing any more is given up, and what came meanwhile is learnt."""
    server = deployment.server
    good, revoked = (server.token(deployment.caller) for _ in range(2))
    with (
        proxy_to(server.port) as proxy,
        ThreadVerifier.from_config(
            redirected(deployment, proxy.port), **deployment.options, timeout_seconds=0.5, max_staleness_seconds=3
        ) as verifier,
    ):
        assert verifier.verify(revoked)
        proxy.silent = True
        revoke(server, revoked, deployment)
        wait_for(lambda: not verifier.status().ready, "the age", 6)
        with pytest.raises(CannotVerify):
            verifier.verify(good)
        proxy.heal()
        wait_for(lambda: verifier.status().ready, "the feed", 5)
        assert is_refused(verifier, revoked)
        assert verifier.verify(good)


def test_a_server_that_starts_again_and_one_with_another_database(tmp_path: Path) -> None:
    """After a restart the feed is gone on with by its cursor; with a database put back from a copy it begins anew."""
    home, copy = tmp_path / "home", tmp_path / "copy"
    home.mkdir()
    with start_server(home) as first:
        deployment = Deployment.of(first)
        texts = [first.token(deployment.caller) for _ in range(3)]
        with deployment.verifier(ThreadVerifier) as verifier:
            revoke(first, texts[0], deployment)
            wait_for(lambda: is_refused(verifier, texts[0]), "the revocation", 3)
            check = verifier._engine.check
            assert check is not None
            cursor, index = check.revocations.cursor, check.revocations._index
            first.stop()
            shutil.copytree(home, copy)
            assert is_refused(verifier, texts[0])
            assert verifier.verify(texts[1])
            with start_server(home, port=first.port) as second:
                revoke(second, texts[1], deployment)
                wait_for(lambda: is_refused(verifier, texts[1]), "the revocation after the restart", 5)
                assert is_refused(verifier, texts[0])
                assert verifier.verify(texts[2])
                assert verifier.verify(second.token(deployment.caller))
                assert check.revocations._index is index
                assert check.revocations.cursor != cursor
            with start_server(copy, port=first.port) as third:
                wait_for(lambda: verifier.status().revocations == 1, "the other list", 5)
                assert check.revocations.cursor == cursor
                third.admin("POST", "/revocations", {"kind": "client", "value": deployment.caller["client_id"]})
                wait_for(lambda: is_refused(verifier, texts[2]), "what was revoked there", 3)
                assert is_refused(verifier, texts[0])


def test_a_server_that_comes_later(deployment: Deployment) -> None:
    """A service starts without its server: 503 until it is there, with a configuration by document and by URL."""
    text = deployment.server.token(deployment.caller)
    with deployment.detour() as (document, appear):
        url = document["jwks_uri"].replace("/.well-known/jwks.json", "/oauth2/verifier-config")
        by_url = ThreadVerifier.from_config(url, **deployment.options)
        with by_url, deployment.verifier(ThreadVerifier, document) as given:
            for verifier in (by_url, given):
                with pytest.raises(CannotVerify):
                    verifier.verify(text)
                assert (verifier.status().ready, verifier.status().unavailable) == (False, 1)
            assert by_url.config is None
            appear()
            for verifier in (by_url, given):
                wait_for(lambda verifier=verifier: verifier.status().ready, "the server", 5)  # type: ignore[misc]
                assert verifier.verify(text)
