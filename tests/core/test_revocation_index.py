"""The index of revocations: right against a naive model, forgetful in time, small."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.core.access_token import AccessToken
from authserver.core.identifiers import new_token_id, token_id_ms
from authserver.core.resource import TokenType
from authserver.core.revocation import EVERYTHING, Revocation, RevocationKind
from authserver.core.revocation_index import RevocationIndex

START_MS = 1_800_000_000_000
LIFE_SECONDS = 3600
WATERMARKS = [kind for kind in RevocationKind if kind is not RevocationKind.JTI]


def token_of(number: int, issued_ms: int, jti: str | None = None) -> AccessToken:
    """Return a token; `number` says whose: even and odd ones share nothing but the workspace."""
    return AccessToken(
        issuer="https://as.example",
        subject=f"sub_{number % 2}",
        audience=("https://api.example",),
        client_id=f"cl_{number % 2}",
        scope="read",
        issued_at=issued_ms // 1000,
        not_before=issued_ms // 1000,
        expires_at=issued_ms // 1000 + LIFE_SECONDS,
        jti=jti or new_token_id(issued_ms),
        workspace_id="default",
        credential_id=f"cred_{number % 4}",
        kid=f"kid_{number % 3}",
        typ=TokenType.AT_JWT,
        claims={},
    )


def value_of(token: AccessToken, kind: RevocationKind) -> str:
    """Return what a revocation of this kind has to say to mean the token."""
    return {
        RevocationKind.JTI: token.jti,
        RevocationKind.CLIENT: token.client_id,
        RevocationKind.CREDENTIAL: token.credential_id,
        RevocationKind.WORKSPACE: token.workspace_id,
        RevocationKind.SUBJECT: token.subject,
        RevocationKind.KID: token.kid,
        RevocationKind.ALL: EVERYTHING,
    }[kind]


def entry(kind: RevocationKind, value: str, revoked_at_ms: int, expires_at: int | None = None) -> Revocation:
    """Return an entry that lives, unless it is told otherwise, as long as any token that it refuses."""
    end = revoked_at_ms // 1000 + LIFE_SECONDS + 60 if expires_at is None else expires_at
    return Revocation(kind=kind, value=value, workspace_id="default", revoked_at_ms=revoked_at_ms, expires_at=end)


@dataclass
class Model:
    """The definition: a list of entries, each looked at every time."""

    entries: list[Revocation] = field(default_factory=list)

    def apply(self, entries: Iterable[Revocation]) -> None:
        """Keep them all."""
        self.entries += entries

    def drop_expired(self, now_seconds: int) -> None:
        """Forget those that have ended."""
        self.entries = [one for one in self.entries if one.expires_at > now_seconds]

    def is_revoked(self, token: AccessToken) -> bool:
        """Ask every entry."""
        return any(
            one.value == value_of(token, one.kind)
            and (one.kind is RevocationKind.JTI or token_id_ms(token.jti) <= one.revoked_at_ms)
            for one in self.entries
        )


MOMENTS = st.integers(0, 4 * LIFE_SECONDS * 1000).map(lambda offset: START_MS + offset)
TOKENS = st.lists(st.builds(token_of, st.integers(0, 11), MOMENTS), min_size=1, max_size=20)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Sequence[AccessToken], Sequence[Revocation]]:
    """Draw tokens, and revocations that mean some of them."""
    tokens = draw(TOKENS)
    entries = []
    for _ in range(draw(st.integers(0, 20))):
        token, kind, moment = draw(st.sampled_from(tokens)), draw(st.sampled_from(RevocationKind)), draw(MOMENTS)
        end = token.expires_at + 60 if kind is RevocationKind.JTI else None
        entries.append(entry(kind, value_of(token, kind), moment, end))
    return tokens, entries


@given(histories(), st.randoms(use_true_random=False))
def test_agrees_with_the_model(history: tuple[list[AccessToken], list[Revocation]], rng: random.Random) -> None:
    """REV-07, REV-13: in any order, any number of times, the index refuses exactly what the definition does."""
    tokens, entries = history
    model, index = Model(), RevocationIndex()
    model.apply(entries)
    shuffled = [*entries, *entries]
    rng.shuffle(shuffled)
    for one in shuffled:
        index.apply([one])
    assert [index.is_revoked(token) for token in tokens] == [model.is_revoked(token) for token in tokens]


@given(histories(), MOMENTS)
def test_forgetting_frees_no_living_token(history: tuple[list[AccessToken], list[Revocation]], now_ms: int) -> None:
    """REV-09: after `drop_expired` every token that has not expired is judged as before."""
    tokens, entries = history
    index = RevocationIndex()
    index.apply(entries)
    living = [token for token in tokens if token.expires_at > now_ms // 1000]
    before = [index.is_revoked(token) for token in living]
    index.drop_expired(now_ms // 1000)
    assert [index.is_revoked(token) for token in living] == before


@pytest.mark.parametrize("ends", [(100, 900), (900, 100), (500, 500)])
@pytest.mark.parametrize("times", [(1, 2), (2, 1), (1, 1)])
def test_a_watermark_keeps_the_later_of_both(times: tuple[int, int], ends: tuple[int, int]) -> None:
    """REV-09: two watermarks of one value refuse up to the later time until the later end, as the store has it."""
    second = START_MS // 1000
    index = RevocationIndex()
    for at, end in zip(times, ends, strict=True):
        index.apply([entry(RevocationKind.CLIENT, "cl_0", START_MS + at, second + end)])
    index.drop_expired(second + max(ends) - 1)
    assert index.is_revoked(token_of(0, START_MS + max(times)))
    assert not index.is_revoked(token_of(0, START_MS + max(times) + 1))
    index.drop_expired(second + max(ends))
    assert len(index) == 0


@pytest.mark.parametrize("kind", WATERMARKS)
def test_the_millisecond_decides(kind: RevocationKind) -> None:
    """REV-13: a watermark refuses its own millisecond, and spares the next."""
    index = RevocationIndex()
    index.apply([entry(kind, value_of(token_of(0, START_MS), kind), START_MS)])
    assert index.is_revoked(token_of(0, START_MS - 1))
    assert index.is_revoked(token_of(0, START_MS))
    assert not index.is_revoked(token_of(0, START_MS + 1))


def test_buckets_go_whole() -> None:
    """REV-09: a bucket of a minute stays until its last entry has ended, then goes with all of them."""
    index = RevocationIndex()
    minute_ms = START_MS - START_MS % 60_000
    tokens = [token_of(number, minute_ms + number) for number in range(10)]
    ends = [1_900_000_000 + number for number in range(10)]
    index.apply(entry(RevocationKind.JTI, t.jti, START_MS, end) for t, end in zip(tokens, ends, strict=True))
    index.drop_expired(ends[-1] - 1)
    assert len(index) == 10
    assert all(index.is_revoked(token) for token in tokens)
    index.drop_expired(ends[-1])
    assert len(index) == 0
    assert not any(index.is_revoked(token) for token in tokens)


MILLION = """
import resource, sys, time
from authserver.core.identifiers import new_token_id
from authserver.core.revocation import Revocation, RevocationKind
from authserver.core.revocation_index import RevocationIndex
from tests.core.test_revocation_index import LIFE_SECONDS, START_MS, token_of

def entries(count):
    for number in range(count):
        jti = new_token_id(START_MS + number * 50 * 60_000 // count)
        yield Revocation(kind=RevocationKind.JTI, value=jti, workspace_id="default", revoked_at_ms=START_MS,
                         expires_at=START_MS // 1000 + 2 * LIFE_SECONDS)

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

index, before = RevocationIndex(), resident()
index.apply(entries(1_000_000))
index.drop_expired(START_MS // 1000)
grown, tokens = resident() - before, [token_of(0, START_MS + number) for number in range(10_000)]
started = time.perf_counter()
found = sum(map(index.is_revoked, tokens))
print(len(index), grown, (time.perf_counter() - started) / len(tokens) * 1e6, found)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_a_million_entries() -> None:
    """RS-09: a million revoked tokens take less than 150 MB, spread as badly as can be; a look-up's time is printed."""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", MILLION], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    held, grown, microseconds, found = done.stdout.split()
    print(f"{int(grown) / 1e6:.0f} MB, {float(microseconds):.2f} µs, {time.perf_counter() - started:.1f} s in all")
    assert (int(held), int(found)) == (1_000_000, 0)
    assert int(grown) < 150_000_000
