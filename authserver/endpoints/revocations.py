"""The revocation feed, `GET /oauth2/revocations?after=CURSOR&jwks=DIGEST&wait=SECONDS`, for resource servers."""

from __future__ import annotations

import re

from authserver.core.clock import MS_PER_SECOND
from authserver.core.errors import InvalidRequest
from authserver.core.revocation import Place
from authserver.endpoints.query import read_query
from authserver.tokens.feed import RevocationFeed
from authserver.wire.answers import json_answer
from authserver.wire.credentials import presented_credentials
from authserver.wire.form import Form
from authserver.wire.http import Answer, Request

MAX_WAIT_SECONDS = 60
MAX_QUERY_BYTES = 256

_PLACE = re.compile("([0-9]{1,18})-([0-9a-f]{8}|)")


class RevocationsEndpoint:
    """Answers at once when there is news, else as soon as there is some, or with nothing when the wait is over."""

    methods = frozenset({"GET"})

    def __init__(self, *, feed: RevocationFeed, epoch: str) -> None:
        """Serve `feed`; cursors are good within `epoch`, the lifetime of one database."""
        self._feed = feed
        self._epoch = epoch

    async def __call__(self, request: Request) -> Answer:
        """Answer one poll. An unknown cursor, or none, starts a snapshot: a reader forgets what it had."""
        query = read_query(request, {"after", "jwks", "wait"}, max_bytes=MAX_QUERY_BYTES)
        credentials = presented_credentials(request, Form({}))
        request.notes["client_id"] = credentials.client_id
        after = _place(query.get("after"), self._epoch)
        page = await self._feed.read(
            credentials,
            after=after,
            jwks=query.get("jwks"),
            wait_seconds=_wait_seconds(query.get("wait")),
            parked=request.parked,
        )
        request.notes["entries"] = len(page.entries)
        return json_answer(
            {
                "cursor": f"{self._epoch}.{page.place.sequence}-{page.place.mark}",
                "epoch": self._epoch,
                "as_of": page.as_of_ms / MS_PER_SECOND,
                "known_after_ms": page.known_after_ms,
                "jwks": page.jwks,
                "snapshot": page.snapshot,
                "more": page.more,
                "entries": [
                    {
                        "kind": entry.kind,
                        "value": entry.value,
                        "revoked_at_ms": entry.revoked_at_ms,
                        "expires_at": entry.expires_at,
                    }
                    for entry in page.entries
                ],
            }
        )


def _place(cursor: str | None, epoch: str) -> Place | None:
    """Return the place of a cursor of this epoch; None for any other: its reader starts anew."""
    given, _, place = (cursor or "").rpartition(".")
    found = _PLACE.fullmatch(place) if given == epoch else None
    return Place(int(found[1]), found[2]) if found else None


def _wait_seconds(text: str | None) -> int:
    if text is None:
        return 0
    seconds = int(text) if text.isascii() and text.isdigit() else -1  # the query's length bounds the digits
    if not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise InvalidRequest(f"wait must be a number of seconds up to {MAX_WAIT_SECONDS}")
    return seconds
