"""The local copy of what was revoked, as the feed of the authorization server tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from authserver.core.clock import MS_PER_SECOND
from authserver.core.json_value import Json
from authserver.core.revocation import Revocation, RevocationKind
from authserver.core.revocation_index import RevocationIndex
from authserver.resource_server.token import VerifiedToken

T = TypeVar("T")

#: An entry is kept this much longer than it must be: the server's clock and ours differ.
_SPARE_SECONDS = 300

_KINDS = {kind.value: kind for kind in RevocationKind}
_MAX_WORD_CHARACTERS = 100
_MOST = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """One answer of the feed. `snapshot`: what was known before is out of date. `more`: another page is there.

    `as_of` is the server's time, in seconds, until which it knows all; `known_after_seconds` is how long after the
    question that was, or before it if negative. `jwks` names the set of keys that it publishes.
    """

    cursor: str
    as_of: float
    known_after_seconds: float
    snapshot: bool
    more: bool
    jwks: str
    entries: Sequence[Revocation]

    @classmethod
    def read(cls, document: Json, *, workspace_id: str) -> FeedPage:
        """Return the page; raise ValueError for what is none, an entry of an unknown kind included.

        A page that cannot be read is refused as a whole: a copy that gets old fails closed, one with gaps would not.
        """
        try:
            return cls(
                cursor=_word(document["cursor"]),
                as_of=_number(document["as_of"], least=0),
                known_after_seconds=_number(document.get("known_after_ms", 0), least=-_MOST) / MS_PER_SECOND,
                snapshot=_of(bool, document["snapshot"]),
                more=_of(bool, document["more"]),
                jwks=_word(document.get("jwks", "")),
                entries=[_entry(entry, workspace_id) for entry in _of(list, document["entries"])],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no page of a revocation feed: {type(error).__name__}") from None


class RevocationCopy:
    """What was revoked, as far as it is known. Read by many threads, written by one."""

    def __init__(self) -> None:
        """Start empty: nothing is known."""
        self.cursor: str | None = None
        self.as_of = 0.0
        #: Our monotonic time until which all is known; None before the first complete answer.
        self.known_at: float | None = None
        #: Grows with each change: a token that was not revoked in a version is not revoked while it is the present one.
        self.version = 0
        self._index = RevocationIndex()
        self._next: RevocationIndex | None = None

    def take(self, page: FeedPage, *, known_at: float, now_seconds: int) -> None:
        """Take up a page that tells all until `known_at`.

        A snapshot replaces the copy once its last page is there; the old one holds until then.
        Raises ValueError for a page that cannot be: an entry that names no token, a first page that is no snapshot,
        or more to come after a page that led nowhere. Then nothing counts as known that was not before.
        """
        if not page.snapshot and (self.cursor is None or (page.more and page.cursor == self.cursor)):
            raise ValueError("the feed has no beginning, or no end")
        following = RevocationIndex() if page.snapshot else self._next
        index = self._index if following is None else following
        try:
            index.apply(page.entries)
            self._next, self.cursor = following, page.cursor
            if not page.more:
                self._index, self._next = index, None
                self.as_of, self.known_at = page.as_of, known_at
        finally:
            self.version += 1  # last, so that nobody sees it with older entries; also for a page that failed half-way
        if not page.more:
            index.drop_expired(now_seconds - _SPARE_SECONDS)

    def is_revoked(self, token: VerifiedToken, token_id: bytes) -> bool:
        """Tell whether the token, whose `jti` has the bytes `token_id`, was revoked, alone or with others."""
        return self._index.is_revoked(token, token_id)

    def __len__(self) -> int:
        """Return how many entries are held."""
        return len(self._index)


def _entry(entry: Mapping[str, Json], workspace_id: str) -> Revocation:
    kind, value = _KINDS[entry["kind"]], entry["value"]
    revoked_at_ms, expires_at = entry["revoked_at_ms"], entry["expires_at"]
    if type(value) is not str or type(revoked_at_ms) is not int or type(expires_at) is not int:
        raise TypeError("entry")
    return Revocation(kind, value, workspace_id, revoked_at_ms, expires_at)


def _word(value: Json) -> str:
    """Return what goes back to the server in a URL."""
    word = _of(str, value)
    if len(word) > _MAX_WORD_CHARACTERS or not word.isascii() or not word.isprintable():
        raise TypeError("word")
    return word


def _number(value: Json, *, least: int) -> float:
    if type(value) not in (int, float) or not least <= value <= _MOST:  # which NaN is not
        raise TypeError("number")
    return float(value)


def _of(kind: type[T], value: Json) -> T:
    if type(value) is not kind:
        raise TypeError(kind.__name__)
    return value
