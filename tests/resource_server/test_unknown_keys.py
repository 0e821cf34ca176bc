"""Keys that are not held: when they are asked for, and how often (RS-10)."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from authserver.core.resource import SigningAlg
from authserver.resource_server import CannotVerify, InvalidToken
from authserver.resource_server.key_follower import MIN_KEYS_SECONDS
from tests.redis_server import wait_for
from tests.resource_server.issuer import Issuer
from tests.resource_server.scripted import CONFIG, FEED, JWKS, Scripted, answer, scripted, send

ALONE: dict[str, Any] = {"follow_revocations": False}


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Run a scripted server."""
    with scripted() as running:
        yield running


def let_time_pass(verifier: Any) -> None:
    """Make the last fetch as old as it has to be for another one: half a minute is too long for a test."""
    verifier._engine._follower.keys._tried_at -= MIN_KEYS_SECONDS


def is_good(verifier: Any, token: str) -> bool:
    """Tell whether a token is let in."""
    try:
        verifier.verify(token)
    except (InvalidToken, CannotVerify):
        return False
    return True


def test_rs_10_a_flood_of_unknown_keys(server: Scripted) -> None:
    """RS-10: 2,000 tokens that name as many unknown keys lead to one fetch in 30 seconds, from eight threads too."""
    issuer = server.issuer
    strangers = [issuer.mint(issuer.header(kid=f"unknown-{number}")) for number in range(2000)]

    def refused(token: str) -> bool:
        with pytest.raises(InvalidToken):
            verifier.verify(token)
        return True

    with server.verifier(**ALONE) as verifier, ThreadPoolExecutor(8) as pool:
        for expected in (1, 2):  # at the start, and once 30 seconds have passed
            assert all(pool.map(refused, strangers))
            assert server.count(JWKS) == expected
            let_time_pass(verifier)
        assert verifier.verify(issuer.mint())
        assert verifier.status().refused == 4000


def test_a_crowd_of_unknown_keys_waits_for_nobody(server: Scripted) -> None:
    """RS-10: while keys hang, a hundred tokens may wait for them; anybody can make more, and those get 503 at once."""
    let_go = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        let_go.wait(10)
        send(handler, 200, server.key_set())

    def verify(number: int) -> str:
        try:
            verifier.verify(server.issuer.mint(server.issuer.header(kid=f"unknown-{number}")))
        except CannotVerify:
            let_go.set()  # somebody was sent away, while the others still wait
            return "sent away"
        except InvalidToken:
            return "refused"
        return "let in"

    with server.verifier(**ALONE, timeout_seconds=5) as verifier, ThreadPoolExecutor(110) as pool:
        let_time_pass(verifier)
        server.answers[JWKS] = hang
        ends = Counter(pool.map(verify, range(1, 111)))
    assert ends["refused"] >= 100
    assert ends["sent away"] >= 1
    assert ends["let in"] == 0


def test_rot_04_a_key_set_from_before_is_not_the_new_one(server: Scripted) -> None:
    """ROT-04: a cache that still has a withdrawn key does not bring it back: the feed's digest says that it is old."""
    other = Issuer(kid="other")
    server.keys.append(other.jwk())
    withdrawn = server.issuer.mint()
    with server.verifier() as verifier:
        assert verifier.verify(withdrawn)
        server.answers[JWKS] = answer(200, server.key_set())
        server.keys.pop(0)
        asked = server.count(JWKS)
        wait_for(lambda: server.count(JWKS) > asked + 1, "another look at the keys")
        assert verifier.verify(withdrawn)  # nothing else is known yet
        del server.answers[JWKS]
        wait_for(lambda: not is_good(verifier, withdrawn), "the new keys", seconds=3)
        assert verifier.verify(other.mint())


def test_a_new_key_is_found_by_its_first_token(server: Scripted) -> None:
    """Without a feed, the first token of a new key fetches it."""
    new = Issuer(kid="new")
    with server.verifier(**ALONE) as verifier:
        server.keys.append(new.jwk())
        with pytest.raises(InvalidToken):
            verifier.verify(new.mint())
        let_time_pass(verifier)
        assert verifier.verify(new.mint()).kid == "new"


def test_tokens_of_a_new_key_wait_for_the_fetch_that_is_under_way(server: Scripted) -> None:
    """Of fifty first tokens of a new key, at once and during the fetch, none is refused; it is fetched once."""
    new, started = Issuer(kid="new"), threading.Event()

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        started.set()
        time.sleep(0.3)
        send(handler, 200, server.key_set())

    with server.verifier(**ALONE) as verifier, ThreadPoolExecutor(50) as pool:
        server.keys.append(new.jwk())
        server.answers[JWKS] = slowly
        let_time_pass(verifier)
        early = [pool.submit(verifier.verify, new.mint()) for _ in range(25)]
        assert started.wait(5)
        late = [pool.submit(verifier.verify, new.mint()) for _ in range(25)]
        assert {check.result().kid for check in (*early, *late)} == {"new"}
        assert server.count(JWKS) == 2


def test_a_fetch_that_fails_leaves_the_keys(server: Scripted) -> None:
    """RS-10: a key set that cannot be had is asked for once in 30 seconds too, and the old keys go on.

    P3: whether an unknown key is a new one nobody can tell until then, so its tokens are 503.
    """
    with server.verifier(**ALONE) as verifier:
        for reply in (answer(500, {}), answer(403, {}), answer(200, b"{}"), answer(200, b"[" * 100_000)):
            server.answers[JWKS] = reply
            let_time_pass(verifier)
            asked = server.count(JWKS)
            for _ in range(10):
                with pytest.raises(CannotVerify):
                    verifier.verify(server.issuer.mint(server.issuer.header(kid="unknown")))
            assert server.count(JWKS) == asked + 1
            assert verifier.verify(server.issuer.mint())
        assert verifier.status().key_failures == 4
        del server.answers[JWKS]
        let_time_pass(verifier)
        with pytest.raises(InvalidToken):
            verifier.verify(server.issuer.mint(server.issuer.header(kid="unknown")))


def test_a_new_key_that_a_lost_feed_has_not_told_of(server: Scripted) -> None:
    """P3: the keys were fetched a moment ago, and still nobody can tell whether the key is a new one: 503."""
    new = Issuer(kid="new")
    with server.verifier() as verifier:
        server.answers[FEED] = answer(500, {})
        wait_for(lambda: verifier.status().feed_failures > 0, "the feed to be lost", seconds=10)
        with pytest.raises(InvalidToken):
            verifier.verify(server.issuer.mint() + "x")
        with pytest.raises(CannotVerify):
            verifier.verify(new.mint())
        server.keys.append(new.jwk())
        del server.answers[FEED]
        wait_for(lambda: is_good(verifier, new.mint()), "the new key", seconds=10)
        wait_for(lambda: not verifier._engine.may_miss_a_key, "the end of its fetch")
        with pytest.raises(InvalidToken):
            verifier.verify(server.issuer.mint(server.issuer.header(kid="unknown")))


def test_the_feed_tells_of_new_keys(server: Scripted) -> None:
    """A key is fetched when it is published, before its first token; one that is gone is believed no more."""
    new, old = Issuer(kid="new"), server.issuer
    with server.verifier() as verifier:
        assert verifier.verify(old.mint())
        assert server.count(JWKS) == 1
        server.keys[:] = [new.jwk()]
        wait_for(lambda: server.count(JWKS) == 2, "the fetch")
        wait_for(lambda: new.kid.encode() in verifier.key_set, "the key")
        assert verifier.verify(new.mint())
        with pytest.raises(InvalidToken):
            verifier.verify(old.mint())


def test_a_lost_key_set_is_not_hammered(server: Scripted) -> None:
    """While the feed tells of keys that cannot be had, both are asked at a pace that does no harm."""
    with server.verifier() as verifier:
        server.answers[JWKS] = answer(500, {})
        server.keys.append(Issuer(kid="new").jwk())
        wait_for(lambda: verifier.status().key_failures > 3, "some failures")
        asked = server.count(JWKS)
        time.sleep(2)
        assert server.count(JWKS) - asked <= 4
        assert verifier.verify(server.issuer.mint())


@pytest.mark.parametrize("kid", ["new", "key-1"])
def test_rs_12_a_secret_in_the_key_set_is_none(server: Scripted, kid: str) -> None:
    """RS-12: an `oct` key that is published over HTTP is never used, under a kid of its own or that of another."""
    secret = Issuer(SigningAlg.HS256, kid=kid)
    server.keys.append(secret.jwk())
    with server.verifier() as verifier:
        with pytest.raises(InvalidToken):
            verifier.verify(secret.mint())
        assert verifier.verify(server.issuer.mint())


def test_rs_12_new_secrets_by_the_configuration_again() -> None:
    """RS-10, RS-12: configured by URL, a verifier asks for the secrets again on an unknown kid, once in 30 seconds."""
    with scripted(Issuer(SigningAlg.HS256)) as server:
        new, stranger = Issuer(SigningAlg.HS256, kid="new"), Issuer(SigningAlg.HS256, kid="stranger")
        with server.verifier(server.url + CONFIG) as verifier:
            assert verifier.verify(server.issuer.mint())
            server.keys[:] = [new.jwk()]
            assert verifier.verify(new.mint()).kid == "new"
            with pytest.raises(InvalidToken):
                verifier.verify(server.issuer.mint())
            for _ in range(20):
                with pytest.raises(InvalidToken):
                    verifier.verify(stranger.mint())
            assert (server.count(CONFIG), server.count(JWKS)) == (2, 0)
            for reply in (
                answer(403, {}),
                answer(200, {}),
                answer(200, server.document(audience="https://other.example", jwks={"keys": [stranger.jwk()]})),
            ):
                server.answers[CONFIG] = reply
                let_time_pass(verifier)
                with pytest.raises(CannotVerify):
                    verifier.verify(stranger.mint())
                assert verifier.verify(new.mint())
            assert server.count(CONFIG) == 5


def test_rs_12_secrets_of_a_document_stay() -> None:
    """A verifier that was given its secrets has nobody to ask for others."""
    with scripted(Issuer(SigningAlg.HS256)) as server, server.verifier() as verifier:
        with pytest.raises(InvalidToken):
            verifier.verify(Issuer(SigningAlg.HS256, kid="new").mint())
        assert verifier.verify(server.issuer.mint())
        assert (server.count(CONFIG), server.count(JWKS)) == (0, 0)


def test_a_key_set_without_a_usable_key(server: Scripted) -> None:
    """Nobody can tell good tokens from others: 503, and not ready."""
    server.keys.clear()
    with server.verifier() as verifier:
        for token in (server.issuer.mint(), "nonsense"):
            with pytest.raises(CannotVerify):
                verifier.verify(token)
        assert not verifier.status().ready
