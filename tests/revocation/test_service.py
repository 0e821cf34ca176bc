"""The order of a revocation: stored, then obeyed, then answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from authserver.core.errors import TemporarilyUnavailable, ValidationFailed
from authserver.core.identifiers import new_token_id
from authserver.core.revocation import MAX_LEEWAY_SECONDS, Revocation, RevocationKind
from authserver.revocation.service import MAX_VALUE_CHARACTERS, RevocationService
from tests.core.test_revocation_index import START_MS, token_of
from tests.revocation.lives import lives

MAX_TTL_SECONDS = 86_400
LEEWAY_SECONDS = 60


class Store:
    """A revocation store that notes the order of things, and fails when told to. Watermarks are kept as they come."""

    def __init__(self) -> None:
        self.entries: list[Revocation] = []
        self.failing = False
        self.known_when_stored: list[bool] = []
        self.service: RevocationService | None = None

    async def add(self, revocations: Sequence[Revocation]) -> Sequence[Revocation]:
        """Store what is new; take a moment, as a disk does."""
        await asyncio.sleep(0)
        if self.failing:
            raise TemporarilyUnavailable("the disk is full")
        new = []
        for one in revocations:
            if one.kind is RevocationKind.JTI and any(one.value == held.value for held in self.entries):
                continue
            new.append(one._replace(sequence=len(self.entries) + 1))
            self.entries.append(new[-1])
        if self.service is not None:
            self.known_when_stored.append(len(self.service) > 0)
        return new

    async def since(self, sequence: int) -> AsyncIterator[Sequence[Revocation]]:
        """Yield the rest in batches of two."""
        while batch := await self.page(after=sequence, limit=2):
            yield batch
            sequence = batch[-1].sequence

    async def page(self, *, after: int, limit: int) -> Sequence[Revocation]:
        """Return what follows."""
        return [one for one in self.entries if one.sequence > after][:limit]

    async def prune(self, now_seconds: int) -> int:
        """Delete what has ended."""
        before = len(self.entries)
        self.entries = [one for one in self.entries if one.expires_at >= now_seconds]
        return before - len(self.entries)


class Deployment:
    """A store, a clock that only the test moves on, and services that share both."""

    def __init__(self) -> None:
        self.store = Store()
        self.now_ms = START_MS
        self.service = self.another()
        self.store.service = self.service

    def another(self) -> RevocationService:
        """Return the service of another process."""
        return RevocationService(
            store=self.store, clock=self.clock, longest_life=lives(MAX_TTL_SECONDS), leeway_seconds=LEEWAY_SECONDS
        )

    def clock(self) -> int:
        """Return the time; each look takes a quarter of a millisecond."""
        self.now_ms += 0.25  # type: ignore[assignment]
        return int(self.now_ms)

    async def revoke_client(self) -> Revocation:
        """Set a watermark for a client."""
        return await self.service.revoke(
            RevocationKind.CLIENT, "cl_0", workspace_id="default", reason="test", actor="test"
        )

    async def revoke_token(self, jti: str) -> bool:
        """Revoke one token."""
        return await self.service.revoke_token(
            jti=jti, expires_at=START_MS // 1000 + 3600, workspace_id="default", actor="test"
        )


def test_the_store_comes_first() -> None:
    """REV-14: nothing is obeyed before it is durable, and everything is when the call returns."""
    deployment, token = Deployment(), token_of(0, START_MS)
    assert asyncio.run(deployment.revoke_token(token.jti)) is True
    assert deployment.store.known_when_stored == [False]
    assert deployment.service.is_revoked(token)


def test_what_was_not_stored_is_not_obeyed() -> None:
    """REV-06: a write that fails raises, and the token is as it was; the retry works."""
    deployment, token = Deployment(), token_of(0, START_MS)
    deployment.store.failing = True
    with pytest.raises(TemporarilyUnavailable):
        asyncio.run(deployment.revoke_token(token.jti))
    with pytest.raises(TemporarilyUnavailable):
        asyncio.run(deployment.revoke_client())
    assert not deployment.service.is_revoked(token)
    deployment.store.failing = False
    assert asyncio.run(deployment.revoke_token(token.jti)) is True
    assert deployment.service.is_revoked(token)


def test_one_of_many_did_it() -> None:
    """REV-04: of fifty calls at once one says that it revoked the token; all return with it revoked."""
    deployment, token = Deployment(), token_of(0, START_MS)

    async def fifty() -> list[bool]:
        return await asyncio.gather(*(deployment.revoke_token(token.jti) for _ in range(50)))

    assert sorted(asyncio.run(fifty())) == [False] * 49 + [True]
    assert len(deployment.store.entries) == 1
    assert deployment.service.is_revoked(token)


def test_a_token_issued_right_after_is_good() -> None:
    """REV-13: when a watermark is answered the clock has passed it, so the very next token is not caught."""
    deployment = Deployment()
    old = token_of(0, deployment.clock())
    asyncio.run(deployment.revoke_client())
    assert deployment.service.is_revoked(old)
    assert not deployment.service.is_revoked(token_of(0, int(deployment.now_ms)))


def test_ends() -> None:
    """REV-09: an entry ends with the last token that it can refuse, leeway added."""
    deployment = Deployment()
    jti = new_token_id(START_MS - 5_000)

    async def run() -> tuple[Revocation, Revocation]:
        await deployment.revoke_token(new_token_id(START_MS))
        one = await deployment.service.revoke(
            RevocationKind.JTI, jti.upper(), workspace_id="default", reason="", actor="test"
        )
        return one, await deployment.revoke_client()

    single, watermark = asyncio.run(run())
    assert deployment.store.entries[0].expires_at == START_MS // 1000 + 3600 + LEEWAY_SECONDS
    assert (single.value, single.expires_at) == (jti, START_MS // 1000 - 5 + MAX_TTL_SECONDS + LEEWAY_SECONDS)
    assert watermark.expires_at == START_MS // 1000 + MAX_TTL_SECONDS + LEEWAY_SECONDS


def test_another_process_takes_it_up() -> None:
    """REV-13: `follow` brings what others stored, from where it stood, in as many batches as it takes."""
    deployment = Deployment()
    tokens = [token_of(number, START_MS + number) for number in range(5)]
    other = deployment.another()

    async def run() -> None:
        for token in tokens[:3]:
            await deployment.revoke_token(token.jti)
        await other.follow()
        assert [other.is_revoked(token) for token in tokens] == [True] * 3 + [False] * 2
        for token in tokens[3:]:
            await deployment.revoke_token(token.jti)
        await other.follow()

    asyncio.run(run())
    assert all(other.is_revoked(token) for token in tokens)


def test_prune_frees_memory_and_store() -> None:
    """REV-09: what has ended is forgotten in both places, and no sooner."""
    deployment = Deployment()
    asyncio.run(deployment.revoke_client())
    deployment.now_ms += (MAX_TTL_SECONDS + LEEWAY_SECONDS + MAX_LEEWAY_SECONDS - 1) * 1000
    asyncio.run(deployment.service.prune())
    assert (len(deployment.service), len(deployment.store.entries)) == (1, 1)
    deployment.now_ms += 2_000
    asyncio.run(deployment.service.prune())
    assert (len(deployment.service), len(deployment.store.entries)) == (0, 0)


REFUSED = [
    (RevocationKind.CLIENT, ""),
    (RevocationKind.CLIENT, "x" * (MAX_VALUE_CHARACTERS + 1)),
    (RevocationKind.SUBJECT, "a\nb"),
    (RevocationKind.KID, "\ud800"),
    (RevocationKind.JTI, "not-a-uuid"),
    (RevocationKind.JTI, "é" * 36),
]


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_values_that_no_token_carries(kind: RevocationKind, value: str) -> None:
    """REV-03: a value that no token of ours could carry is refused, and nothing is stored."""
    deployment = Deployment()
    with pytest.raises(ValidationFailed):
        asyncio.run(deployment.service.revoke(kind, value, workspace_id="default", reason="", actor="test"))
    assert deployment.store.entries == []
