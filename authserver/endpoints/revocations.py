"""The revocation feed, `GET /oauth2/revocations?after=CURSOR&wait=SECONDS`, for resource servers."""

from __future__ import annotations

from urllib.parse import parse_qsl

from authserver.core.clock import MS_PER_SECOND
from authserver.core.errors import InvalidRequest
from authserver.tokens.feed import RevocationFeed
from authserver.wire.answers import json_answer
from authserver.wire.credentials import presented_credentials
from authserver.wire.form import Form
from authserver.wire.http import Answer, Request

MAX_WAIT_SECONDS = 60
MAX_QUERY_BYTES = 256


class RevocationsEndpoint:
    """Answers at once when there is news, else as soon as there is some, or with nothing when the wait is over."""

    methods = frozenset({"GET"})

    def __init__(self, *, feed: RevocationFeed, epoch: str) -> None:
        """Serve `feed`; cursors are good within `epoch`, the lifetime of one database."""
        self._feed = feed
        self._epoch = epoch

    async def __call__(self, request: Request) -> Answer:
        """Answer one poll. An unknown cursor, or none, starts a snapshot: a reader forgets what it had."""
        query = _parse(request.query)
        credentials = presented_credentials(request, Form({}))
        request.notes["client_id"] = credentials.client_id
        after = _position(query.get("after"), self._epoch)
        page = await self._feed.read(credentials, after=after, wait_seconds=_wait_seconds(query.get("wait")))
        request.notes["entries"] = len(page.entries)
        return json_answer(
            {
                "cursor": f"{self._epoch}.{page.position}",
                "epoch": self._epoch,
                "as_of": page.as_of_ms / MS_PER_SECOND,
                "snapshot": page.snapshot,
                "more": page.more,
                "entries": [
                    {
                        "kind": entry.kind.value,
                        "value": entry.value,
                        "revoked_at_ms": entry.revoked_at_ms,
                        "expires_at": entry.expires_at,
                    }
                    for entry in page.entries
                ],
            }
        )


def _parse(query: bytes) -> dict[str, str]:
    if len(query) > MAX_QUERY_BYTES:
        raise InvalidRequest("the query is too long")
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    if len(dict(pairs)) != len(pairs) or not {name for name, _ in pairs} <= {"after", "wait"}:
        raise InvalidRequest("a query parameter is unknown or repeated")
    return dict(pairs)


def _position(cursor: str | None, epoch: str) -> int | None:
    """Return the position of a cursor of this epoch; None for any other: its reader starts anew."""
    given, _, sequence = (cursor or "").rpartition(".")
    if given != epoch or not (sequence.isascii() and sequence.isdigit()):
        return None
    return int(sequence[:18])


def _wait_seconds(text: str | None) -> int:
    if text is None:
        return 0
    seconds = int(text) if text.isascii() and text.isdigit() else -1  # the query's length bounds the digits
    if not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise InvalidRequest(f"wait must be a number of seconds up to {MAX_WAIT_SECONDS}")
    return seconds
