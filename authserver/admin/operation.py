"""One operation of the management API: its description and the function that serves it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from authserver.admin.description import Description
from authserver.administration.actor import Actor
from authserver.administration.verbs import Verbs
from authserver.core.errors import PreconditionFailed
from authserver.core.json_value import Json
from authserver.wire.http import JSON, NO_STORE, Answer

__all__ = ["Call", "Handler", "Operation", "Verbs", "nothing", "shown"]

_ETAG = re.compile(rb'"([1-9][0-9]{0,17})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, read and authorised: `path` and `query` by name, `body` a JSON object not yet validated."""

    actor: Actor
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Json] = field(repr=False)
    if_match: bytes | None

    @property
    def expected_version(self) -> int | None:
        """Return the version in If-Match, None without one or for `*` (RFC 9110 §13.1.1).

        Raises PreconditionFailed for anything but one strong ETag of ours: it cannot match.
        """
        if self.if_match is None or self.if_match == b"*":
            return None
        match = _ETAG.fullmatch(self.if_match)
        if match is None:
            raise PreconditionFailed("If-Match does not hold an ETag of this server.")
        return int(match.group(1))


Handler = Callable[[Verbs, Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What is promised, and the function that keeps the promise."""

    description: Description
    handler: Handler


def shown(view: BaseModel, *, status: int = 200, version: int | None = None) -> Answer:
    """Return a view as JSON that no cache keeps, with its version as ETag."""
    headers = (JSON, NO_STORE) if version is None else (JSON, NO_STORE, (b"etag", b'"%d"' % version))
    return Answer(status, view.model_dump_json().encode(), headers)


def nothing() -> Answer:
    """Return 204 without a body."""
    return Answer(204, b"", (NO_STORE,))
