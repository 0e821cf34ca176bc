"""The index of revocations in memory: a few sets, arranged so that a check needs no scan and expiry no search.

Single tokens lie in one set for each minute of issue. A `jti` carries its own time, so one look-up finds the
set, and a set whose last token has expired is dropped whole. A million entries cost about 100 bytes each.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

from authserver.core.identifiers import token_id_bytes
from authserver.core.revocation import EVERYTHING, Revocation, RevocationKind

_MS_PER_BUCKET = 60_000
_SPARSE_BYTES = 64  # of its table for each entry: no copy of a set takes as much
_FEW = 1000

_Watermarks = dict[tuple[str, str], tuple[int, int]]  # (workspace, value) → (revoked_at_ms, expires_at)


class Revocable(Protocol):
    """A token, by all that a revocation may name."""

    @property
    def jti(self) -> str:
        """Return the token's id, a UUIDv7."""

    @property
    def client_id(self) -> str:
        """Return its client."""

    @property
    def credential_id(self) -> str:
        """Return the secret it was got with."""

    @property
    def workspace_id(self) -> str:
        """Return its workspace."""

    @property
    def subject(self) -> str:
        """Return its subject."""

    @property
    def kid(self) -> str:
        """Return the key that signed it."""


class RevocationIndex:
    """Answers whether a token is revoked. Not a store: what it holds can be loaded again."""

    def __init__(self) -> None:
        """Start empty."""
        self._tokens: defaultdict[int, set[bytes]] = defaultdict(set)
        self._bucket_ends: defaultdict[int, int] = defaultdict(int)
        self._watermarks: dict[RevocationKind, _Watermarks] = {
            kind: {} for kind in RevocationKind if kind is not RevocationKind.JTI
        }
        self._in_use: tuple[tuple[RevocationKind, _Watermarks], ...] = ()  # those that hold any, mostly none

    def apply(self, entries: Iterable[Revocation]) -> None:
        """Take up entries, in any order, any number of times. A million of them make a start wait: no call too many."""
        tokens, ends, from_bytes = self._tokens, self._bucket_ends, int.from_bytes
        for entry in entries:
            if entry.kind is RevocationKind.JTI:
                token_id = token_id_bytes(entry.value)
                bucket = from_bytes(token_id[:6], "big") // _MS_PER_BUCKET
                tokens[bucket].add(token_id)
                if entry.expires_at > ends[bucket]:  # noqa: PLR1730 - `max` is a call
                    ends[bucket] = entry.expires_at
            else:
                marks, place = self._watermarks[entry.kind], (entry.workspace_id, entry.value)
                revoked_at_ms, expires_at = marks.get(place, (0, 0))
                # The later of both, each for itself, as the store has it: no token lives again that was refused.
                marks[place] = (max(revoked_at_ms, entry.revoked_at_ms), max(expires_at, entry.expires_at))
                self._note_use()

    def is_revoked(self, token: Revocable, token_id: bytes = b"") -> bool:
        """Tell whether the token, or everything issued up to its time with one of its values, was revoked.

        `token_id` is the `jti` in its 16 bytes, where the caller has them at hand.
        """
        token_id = token_id or token_id_bytes(token.jti)
        issued_ms = int.from_bytes(token_id[:6], "big")
        tokens = self._tokens.get(issued_ms // _MS_PER_BUCKET)
        if tokens is not None and token_id in tokens:
            return True
        for kind, marks in self._in_use:
            mark = marks.get((token.workspace_id, _value_of(token, kind)))
            if mark is not None and issued_ms <= mark[0]:
                return True
        return False

    def drop_expired(self, now_seconds: int) -> None:
        """Forget what no living token can match any more, and give back what growing sets took in advance."""
        for bucket in [b for b, end in self._bucket_ends.items() if end <= now_seconds]:
            del self._tokens[bucket]
            del self._bucket_ends[bucket]
        for marks in self._watermarks.values():
            for place in [p for p, (_, expires_at) in marks.items() if expires_at <= now_seconds]:
                del marks[place]
        self._note_use()
        for bucket, tokens in self._tokens.items():
            if sys.getsizeof(tokens) > _SPARSE_BYTES * (len(tokens) + _FEW):
                self._tokens[bucket] = set(tokens)  # a set grows fourfold, its copy is half full

    def _note_use(self) -> None:
        self._in_use = tuple((kind, marks) for kind, marks in self._watermarks.items() if marks)

    def __len__(self) -> int:
        """Return how many entries are held."""
        return sum(map(len, self._tokens.values())) + sum(map(len, self._watermarks.values()))


def _value_of(token: Revocable, kind: RevocationKind) -> str:
    match kind:
        case RevocationKind.CLIENT:
            return token.client_id
        case RevocationKind.CREDENTIAL:
            return token.credential_id
        case RevocationKind.WORKSPACE:
            return token.workspace_id
        case RevocationKind.SUBJECT:
            return token.subject
        case RevocationKind.KID:
            return token.kid
        case _:
            return EVERYTHING
