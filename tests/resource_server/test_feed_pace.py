"""What stands between a verifier and the feed: caches that answer with what was, and servers that never wait."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from authserver.resource_server import CannotVerify
from tests.redis_server import wait_for
from tests.resource_server.scripted import FEED, Scripted, answer, scripted, send
from tests.server import claims_of


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Run a scripted server."""
    with scripted() as running:
        yield running


def after(handler: BaseHTTPRequestHandler) -> str | None:
    """Return the cursor that was sent."""
    return parse_qs(urlsplit(handler.path).query).get("after", [None])[0]


def test_a_feed_that_never_waits(server: Scripted) -> None:
    """Without news it is asked twice a second, not thousands of times; what is revoked is known in half a second."""
    server.answers[FEED] = lambda handler: send(handler, 200, server.page(after(handler)))
    token = server.issuer.mint()
    with server.verifier() as verifier:
        asked = server.count(FEED)
        time.sleep(1.2)
        assert server.count(FEED) - asked <= 4
        assert verifier.verify(token)
        now = int(time.time())
        entry = {"kind": "jti", "value": claims_of(token)["jti"], "revoked_at_ms": now * 1000, "expires_at": now + 600}
        server.entries.append(entry)
        wait_for(lambda: verifier.status().revocations == 1, "the revocation", seconds=3)


def test_news_are_not_held_up(server: Scripted) -> None:
    """A feed that has something new each time is asked again at once."""

    def feed(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, {**server.page("e.0"), "cursor": f"e.{server.count(FEED)}"})

    with server.verifier() as verifier:
        server.answers[FEED] = feed
        wait_for(lambda: verifier.status().feed_answers > 20, "the news", seconds=5)


def test_an_answer_that_is_repeated_tells_nothing_new(server: Scripted) -> None:
    """RS-07: the same bytes for ever, from whatever keeps them, do not make old knowledge fresh."""
    with server.verifier(max_staleness_seconds=3) as verifier:
        frozen = json.dumps(server.page("e.0")).encode()
        server.answers[FEED] = answer(200, frozen)
        answers = verifier.status().feed_answers
        wait_for(lambda: verifier.status().staleness_seconds > 3, "the age", seconds=10)
        assert verifier.status().feed_answers > answers
        with pytest.raises(CannotVerify, match="too old"):
            verifier.verify(server.issuer.mint())
        del server.answers[FEED]
        wait_for(lambda: verifier.status().ready, "an answer of now", seconds=10)


def test_an_answer_from_a_cache_is_none(server: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    """RFC 9111 §5.1: `Age` says that a cache answers. No cache was allowed to (§5.2.1.5)."""
    seen: list[Any] = []

    def feed(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers["Cache-Control"])
        send(handler, 200, server.page(after(handler)), age="7")

    with server.verifier() as verifier:
        server.answers[FEED] = feed
        wait_for(lambda: verifier.status().feed_failures > 1, "the refusals")
        del server.answers[FEED]
        wait_for(lambda: "the revocation feed is back" in caplog.text, "the end of the cache", seconds=10)
    assert set(seen) == {"no-store"}
    assert "from a cache" in caplog.text


def test_the_log_says_when_nobody_is_let_in(server: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    """The loss, the moment from which all is 503, and the end of it: one line each."""
    with server.verifier(max_staleness_seconds=3) as verifier:
        server.answers[FEED] = answer(503, {})
        wait_for(lambda: "too old" in caplog.text, "the age", seconds=10)
        time.sleep(0.5)
        server.answers.clear()
        wait_for(lambda: verifier.status().ready, "the feed", seconds=5)
        wait_for(lambda: "is back" in caplog.text, "the last line")
    told = [record.getMessage() for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert [line.partition(":")[0] for line in told] == [
        "the revocation feed is lost",
        "what is known of revocations is too old",
        "the revocation feed is back",
    ]
