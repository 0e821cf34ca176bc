"""The feed as a verifier follows it: lost, slow, malformed; what it says is known, and what is not."""

from __future__ import annotations

import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from authserver.core.identifiers import new_token_id
from authserver.resource_server import CannotVerify, InvalidToken, ThreadVerifier, follower
from tests.redis_server import wait_for
from tests.resource_server.issuer import Issuer
from tests.resource_server.scripted import FEED, JWKS, Scripted, answer, scripted, send
from tests.server import claims_of


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Run a scripted server."""
    with scripted() as running:
        yield running


def entry(kind: str, value: str, **changes: Any) -> dict[str, Any]:
    """Return an entry that refuses everything issued until now."""
    now = int(time.time())
    return {"kind": kind, "value": value, "revoked_at_ms": now * 1000 + 1000, "expires_at": now + 7200, **changes}


def revoke(server: Scripted, token: str) -> None:
    """Have the feed tell of a revoked token."""
    server.entries.append(entry("jti", claims_of(token)["jti"]))


def is_refused(verifier: ThreadVerifier, token: str) -> bool:
    """Tell whether a token is refused as revoked."""
    try:
        verifier.verify(token)
    except InvalidToken as refusal:
        return refusal.reason == "revoked"
    return False


def test_rs_07_a_lost_feed(server: Scripted) -> None:
    """RS-07: the list is kept; past the age that is allowed nobody is let in until the feed is back; it is counted."""
    good, revoked = server.issuer.mint(), server.issuer.mint()
    revoke(server, revoked)
    with (
        server.verifier(max_staleness_seconds=3) as closed,
        server.verifier(max_staleness_seconds=3, fail_open=True) as opened,
    ):
        server.answers[FEED] = answer(503, {}, retry_after="1")
        wait_for(lambda: closed.status().feed_failures > 1, "the loss")
        assert is_refused(closed, revoked)
        assert closed.verify(good)
        assert closed.status().ready
        wait_for(lambda: closed.status().staleness_seconds > 3, "the age")
        with pytest.raises(CannotVerify, match="too old"):
            closed.verify(good)
        with pytest.raises(InvalidToken):
            closed.verify(good + "A")
        assert (closed.status().ready, closed.status().unavailable, closed.status().refused) == (False, 1, 2)
        wait_for(lambda: opened.status().staleness_seconds > 3, "the age")
        assert opened.status().ready
        assert opened.verify(good)
        assert is_refused(opened, revoked)
        server.answers.clear()
        wait_for(lambda: closed.status().ready, "the feed", seconds=5)
        assert closed.verify(good)
        assert is_refused(closed, revoked)


def test_rs_07_no_feed_from_the_start(server: Scripted) -> None:
    """RS-07: without a first answer nothing is known; `fail_open` lets in whoever has a good token."""
    server.answers[FEED] = answer(500, {})
    token = server.issuer.mint()
    with server.verifier() as closed, server.verifier(fail_open=True) as opened:
        with pytest.raises(CannotVerify):
            closed.verify(token)
        assert opened.verify(token)
        status = closed.status()
        assert (status.ready, status.staleness_seconds, status.as_of) == (False, float("inf"), 0.0)


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_wants_to_be_left_alone(server: Scripted, status: int) -> None:
    """RFC 9110 §10.2.3: Retry-After is obeyed, and no longer than a third of the age that is allowed."""
    with server.verifier(max_staleness_seconds=6) as verifier:
        server.answers[FEED] = answer(status, {}, retry_after="3600")
        wait_for(lambda: verifier.status().feed_failures == 1, "the answer")
        started = time.monotonic()
        wait_for(lambda: verifier.status().feed_failures == 2, "the next question")
        assert 1.9 < time.monotonic() - started < 3.5


@pytest.mark.parametrize("value", ["soon", "Wed, 21 Oct 2026 07:28:00 GMT", "٣"])
def test_a_retry_after_that_is_none(server: Scripted, value: str) -> None:
    """What is no number of seconds is not obeyed: the pauses are our own."""
    encoded = value.encode().decode("latin-1")
    with server.verifier() as verifier:
        server.answers[FEED] = answer(503, {}, retry_after=encoded)
        wait_for(lambda: verifier.status().feed_failures > 3, "further questions", seconds=5)


ODD_MEMBERS: list[dict[str, Any]] = [
    *({"kind": "tenant"}, {"kind": None}, {"kind": []}, {"value": 5}, {"value": None}, {"revoked_at_ms": "1"}),
    *({"revoked_at_ms": 1.5}, {"revoked_at_ms": True}, {"expires_at": None}, {"expires_at": float("nan")}),
]
MALFORMED: list[Any] = [
    *({"cursor": None}, {"cursor": 5}, {"cursor": "x" * 10_000}, {"cursor": "é"}, {"cursor": "\ud800"}),
    *({"cursor": "a\nb"}, {"as_of": None}, {"as_of": "1"}, {"as_of": True}, {"as_of": float("nan")}, {"as_of": -1}),
    *({"as_of": float("inf")}, {"as_of": 1e300}, {"as_of": 10**400}, {"snapshot": 1}, {"snapshot": None}),
    *({"known_after_ms": odd} for odd in (None, "1", True, float("nan"), float("-inf"), -(10**400))),
    *({"more": "no"}, {"more": None}, {"jwks": 5}, {"jwks": "\ud800"}, {"jwks": "x" * 10_000}),
    *({"entries": None}, {"entries": {}}, {"entries": ""}, {"entries": "x"}, {"entries": [None]}, {"entries": [[]]}),
    *({"entries": [change]} for change in ({}, {"kind": "jti"})),
    *({"entries": [entry("client", "cl_9") | change]} for change in ODD_MEMBERS),
    *({"entries": [entry("jti", value)]} for value in ("", "x", "\ud800", "019a0000-0000-7000-8000-00000000000g")),
    {"more": True},
]


def await_failure(verifier: ThreadVerifier, what: str) -> None:
    """Wait until one more answer has been found bad."""
    failures = verifier.status().feed_failures
    wait_for(lambda: verifier.status().feed_failures > failures, what)


def await_news(verifier: ThreadVerifier, as_of: float) -> None:
    """Wait until more is known than at a moment."""
    wait_for(lambda: verifier.status().as_of > as_of, "the honest page")


def test_malformed_pages_are_not_known(server: Scripted) -> None:
    """RS-08: none of them ends the follower, moves its position or makes the list look fresh; the next honest one does.

    An entry of a kind that is not known here counts as malformed: better closed than blind.
    """
    token = server.issuer.mint()
    with server.verifier(max_staleness_seconds=600) as verifier:
        copy = verifier._engine.check.revocations if verifier._engine.check else pytest.fail("not started")
        for change in MALFORMED:
            before = verifier.status().as_of
            server.answers[FEED] = answer(200, {**server.page("e.0"), "as_of": before + 5000, **change})
            await_failure(verifier, repr(change)[:80])
            assert copy.cursor == "e.0"
            assert before <= verifier.status().as_of < before + 5000
            assert verifier.verify(token)
            del server.answers[FEED]
            await_news(verifier, before)
        revoke(server, token)
        wait_for(lambda: is_refused(verifier, token), "the revocation", seconds=3)


def test_an_unknown_kind_closes(server: Scripted) -> None:
    """RS-08: a server that revokes in a way that is not known here is followed no further: after the age, 503."""
    token = server.issuer.mint()
    server.entries.append(entry("planet", "earth"))
    with server.verifier() as verifier, pytest.raises(CannotVerify):
        verifier.verify(token)


def test_a_first_page_that_is_no_snapshot(server: Scripted) -> None:
    """RS-08: news without what was before it is no beginning."""
    server.answers[FEED] = lambda handler: send(handler, 200, {**server.page(None), "snapshot": False})
    with server.verifier() as verifier, pytest.raises(CannotVerify):
        verifier.verify(server.issuer.mint())


def test_a_snapshot_that_breaks_off_replaces_nothing(server: Scripted) -> None:
    """A new epoch whose snapshot fails in the middle leaves the old list as it is, whatever comes after it."""
    token = server.issuer.mint()
    revoke(server, token)
    with server.verifier() as verifier:
        assert is_refused(verifier, token)
        broken = {**server.page(None), "cursor": "f.1", "entries": [entry("client", "cl_9"), entry("jti", "x")]}
        failures = verifier.status().feed_failures
        server.answers[FEED] = answer(200, broken)
        wait_for(lambda: verifier.status().feed_failures > failures, "the broken snapshot")
        answers = verifier.status().feed_answers
        del server.answers[FEED]
        wait_for(lambda: verifier.status().feed_answers > answers, "the old epoch")
        assert is_refused(verifier, token)


def test_a_snapshot_of_several_pages(server: Scripted) -> None:
    """The old list holds until the last page of the new one; a disconnect in between is gone on from."""
    before, inside = server.issuer.mint(), server.issuer.mint()
    revoke(server, before)
    pages = {
        "e.1": {"cursor": "f.1", "snapshot": True, "more": True, "entries": [entry("jti", claims_of(inside)["jti"])]},
        "f.1": {"cursor": "f.2", "snapshot": False, "more": True, "entries": [entry("client", "cl_9")]},
        "f.2": {"cursor": "f.3", "snapshot": False, "more": False, "entries": [entry("jti", claims_of(before)["jti"])]},
        "f.3": {"cursor": "f.3", "snapshot": False, "more": False, "entries": []},
    }
    passed: list[str] = []

    def feed(handler: BaseHTTPRequestHandler) -> None:
        after = parse_qs(urlsplit(handler.path).query)["after"][0]
        passed.append(after)
        if passed.count(after) == 1:
            send(handler, 500, {})  # each page fails once
        else:
            assert is_refused(verifier, before)
            time.sleep(0.01 if after != "f.3" else 0.2)
            send(handler, 200, {**server.page("e.0"), **pages[after]})

    with server.verifier() as verifier:
        server.answers[FEED] = feed
        wait_for(lambda: is_refused(verifier, inside), "the new list")
        assert is_refused(verifier, before)
        assert verifier.status().revocations == 3


def test_what_is_told_counts_before_the_last_page(server: Scripted) -> None:
    """News of several pages that breaks off: the token of the first page is refused, though it was good before."""
    token = server.issuer.mint()
    news = {"cursor": "e.1", "snapshot": False, "more": True, "entries": [entry("jti", claims_of(token)["jti"])]}

    def feed(handler: BaseHTTPRequestHandler) -> None:
        after = parse_qs(urlsplit(handler.path).query)["after"][0]
        send(handler, *((200, server.page(after) | news) if after == "e.0" else (500, {})))

    with server.verifier() as verifier:
        assert verifier.verify(token)
        server.answers[FEED] = feed
        wait_for(lambda: is_refused(verifier, token), "the first page", seconds=3)


def test_another_key_set_than_the_feed_names(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that rewrites the JWK Set is told of once, and then seldom asked; all else goes on as before."""
    warnings: list[str] = []
    monkeypatch.setattr(follower._log, "warning", lambda message, *_: warnings.append(message))
    monkeypatch.setattr(follower, "_KEYS_PAUSE_SECONDS", 0.01)
    good, revoked = server.issuer.mint(), server.issuer.mint()
    server.answers[JWKS] = answer(200, server.key_set() + b"\n")
    with server.verifier() as verifier:
        wait_for(lambda: bool(warnings), "the warning")
        asked = verifier.status().key_fetches
        assert verifier.verify(good)
        revoke(server, revoked)
        wait_for(lambda: is_refused(verifier, revoked), "the revocation")
        time.sleep(0.2)
        assert verifier.status().key_fetches <= asked + 2
    (told,) = warnings
    assert "JWK Set" in told


def test_keys_that_are_named_during_a_pause(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key set from before is asked for again after a pause, which ends when the feed names another one."""
    monkeypatch.setattr(follower, "_KEYS_PAUSE_SECONDS", 60)
    first, second = Issuer(kid="first"), Issuer(kid="second")
    with server.verifier() as verifier:
        server.answers[JWKS] = answer(200, server.key_set())
        fetched = verifier.status().key_fetches
        server.keys.append(first.jwk())
        wait_for(lambda: verifier.status().key_fetches > fetched, "the set from before")
        del server.answers[JWKS]
        server.keys.append(second.jwk())
        wait_for(lambda: verifier.status().keys == 3, "the second key")
        assert verifier.verify(first.mint())
        assert verifier.verify(second.mint())


def test_a_secret_that_is_rotated_in_its_file(
    server: Scripted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is read again whenever it is sent, so the new one is in use as soon as it is there."""
    heard: list[str] = []

    def feed(handler: BaseHTTPRequestHandler) -> None:
        heard.append(b64decode(handler.headers["Authorization"].removeprefix("Basic ")).decode())
        time.sleep(0.02)
        send(handler, 200, server.page(None))

    server.answers[FEED] = feed
    secret = tmp_path / "secret"
    secret.write_text("old\n")
    with server.verifier(client_id="cl", client_secret=secret):
        wait_for(lambda: "cl:old" in heard, "the first secret")
        (tmp_path / "next").write_text("new\n")
        (tmp_path / "next").replace(secret)
        wait_for(lambda: "cl:new" in heard, "the next secret")
        secret.unlink()
        wait_for(lambda: "cannot be read (No such file or directory)" in caplog.text, "the loss of the file")


@pytest.mark.parametrize("known_after_ms", [1_000, 10**12])
def test_an_answer_counts_from_the_end_of_its_wait(server: Scripted, known_after_ms: int) -> None:
    """What an answer tells that waited a second for news is new, not a second old; and never newer than new."""

    def feed(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(1)
        send(handler, 200, server.page("e.0") | {"known_after_ms": known_after_ms})

    with server.verifier() as verifier:
        server.answers[FEED] = feed
        wait_for(lambda: verifier.status().feed_answers > 2, "an answer that has waited")
        wait_for(lambda: verifier.status().staleness_seconds < 0.9, "a moment soon after one")
        assert verifier.status().staleness_seconds >= 0


def test_what_the_server_knows_may_be_old(server: Scripted) -> None:
    """A server that has not reached its database for 5 s says so, and a verifier of 4 s fails closed."""
    with server.verifier(max_staleness_seconds=4) as verifier:
        assert verifier.verify(server.issuer.mint())
        server.answers[FEED] = lambda handler: send(handler, 200, server.page("e.0") | {"known_after_ms": -5_000})
        wait_for(lambda: verifier.status().staleness_seconds > 5, "an old answer")
        with pytest.raises(CannotVerify):
            verifier.verify(server.issuer.mint())


def test_keys_that_cannot_be_had_delay_no_revocation(server: Scripted) -> None:
    """P1: the feed has named other keys, and whoever has them hangs: what is revoked now is refused now."""
    token, let_go = server.issuer.mint(), threading.Event()

    def hang(_: BaseHTTPRequestHandler) -> None:
        let_go.wait(10)

    with server.verifier(timeout_seconds=5) as verifier:
        assert verifier.verify(token)
        server.answers[JWKS] = hang
        asked = server.count(JWKS)
        server.keys.append(Issuer(kid="next").jwk())
        wait_for(lambda: server.count(JWKS) > asked, "the question for the keys")
        revoke(server, token)
        wait_for(lambda: is_refused(verifier, token), "the revocation", seconds=3)
        let_go.set()


def test_a_clock_far_ahead_forgets_nothing(server: Scripted) -> None:
    """RS-09: an entry goes when its tokens have expired by our clock too, which judges them."""
    token = server.issuer.mint()
    revoke(server, token)
    with server.verifier() as verifier:
        server.answers[FEED] = lambda handler: send(handler, 200, {**server.page("e.1"), "as_of": time.time() + 10**8})
        wait_for(lambda: verifier.status().as_of > time.time() + 10**7, "the server's clock")
        assert is_refused(verifier, token)


def test_entries_that_have_expired_are_dropped(server: Scripted) -> None:
    """RS-09: what no living token can match is not kept."""
    old_ms = int(time.time() - 90_000) * 1000
    server.entries += [
        entry("jti", new_token_id(old_ms), expires_at=old_ms // 1000 + 3600),
        entry("client", "cl_9", expires_at=old_ms // 1000),
        entry("client", "cl_8"),
    ]
    with server.verifier() as verifier:
        wait_for(lambda: verifier.status().feed_answers > 0, "the feed")
        assert verifier.status().revocations == 1
