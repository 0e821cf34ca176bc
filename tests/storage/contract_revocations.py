"""The contract of RevocationStore, ChangeLog and StateStore."""

from __future__ import annotations

import asyncio

import pytest

from authserver.core.revocation import EVERYTHING, Revocation, RevocationKind

from .subjects import DAY, NOW, Contract, Stores, a_client, a_revocation

WATERMARKS = [kind for kind in RevocationKind if kind is not RevocationKind.JTI]


class RevocationContract(Contract):
    """Revocations are never lost, weakened or reordered."""

    def test_entries_come_back_in_order(self) -> None:
        """What add returned is what a page and a follower read, in the order of the sequences."""

        async def scenario(stores: Stores) -> None:
            entries = [a_revocation("t2"), a_revocation(EVERYTHING, RevocationKind.ALL), a_revocation("t1")]
            added = await stores.revocations.add(entries)
            assert [entry._replace(sequence=0) for entry in added] == entries
            assert await stores.revocations.page(after=0, limit=10) == added
            assert await stores.revocations.page(after=added[0].sequence, limit=1) == [added[1]]
            assert await _all(stores, after=added[1].sequence) == [added[2]]

        self.run(scenario)

    def test_a_token_is_revoked_once(self) -> None:
        """REV-04: of 50 parallel revocations of one token one is new, and the first entry stays."""

        async def scenario(stores: Stores) -> None:
            same = (stores.revocations.add([a_revocation("t", reason=str(n))]) for n in range(50))
            outcomes = await asyncio.gather(*same)
            (new,) = [added for added in outcomes if added]
            assert await _all(stores) == new

        self.run(scenario)

    @pytest.mark.parametrize("kind", WATERMARKS)
    def test_a_watermark_moves_forward_to_a_new_sequence(self, kind: RevocationKind) -> None:
        """A follower that has seen the old mark sees the new one; one row remains."""

        async def scenario(stores: Stores) -> None:
            (first,) = await stores.revocations.add([a_revocation("v", kind)])
            later = a_revocation("v", kind, revoked_at_ms=NOW * 1000 + 1, reason="again")
            (moved,) = await stores.revocations.add([later])
            assert moved == later._replace(sequence=moved.sequence)
            assert moved.sequence > first.sequence
            assert await _all(stores, after=first.sequence) == await _all(stores) == [moved]

        self.run(scenario)

    def test_a_watermark_never_moves_back(self) -> None:
        """An earlier or equal mark is not new; neither time nor end shrinks."""

        async def scenario(stores: Stores) -> None:
            stored = await stores.revocations.add([a_revocation("c", RevocationKind.CLIENT)])
            earlier = a_revocation("c", RevocationKind.CLIENT, revoked_at_ms=NOW * 1000 - 1)
            assert not await stores.revocations.add([earlier, a_revocation("c", RevocationKind.CLIENT)])
            assert await _all(stores) == stored
            sooner_over = a_revocation("c", RevocationKind.CLIENT, revoked_at_ms=NOW * 1000 + 1, expires_at=NOW + 1)
            (moved,) = await stores.revocations.add([sooner_over])
            assert (moved.revoked_at_ms, moved.expires_at) == (NOW * 1000 + 1, NOW + DAY)

        self.run(scenario)

    def test_equal_values_of_different_kinds_and_workspaces_are_apart(self) -> None:
        """A client and a subject of one name, and two workspaces, do not overwrite each other."""

        async def scenario(stores: Stores) -> None:
            kinds = [a_revocation("x", kind) for kind in RevocationKind]
            elsewhere = a_revocation("x", RevocationKind.SUBJECT, revoked_at_ms=1)._replace(workspace_id="other")
            assert len(await stores.revocations.add([*kinds, elsewhere])) == len(kinds) + 1

        self.run(scenario)

    def test_followers_get_every_entry_over_many_batches(self) -> None:
        """5,010 entries arrive complete, in order, in more than one batch."""

        async def scenario(stores: Stores) -> None:
            await stores.revocations.add([a_revocation(f"t{n}") for n in range(5_010)])
            batches = [batch async for batch in stores.revocations.since(0)]
            values = [entry.value for batch in batches for entry in batch]
            assert values == [f"t{n}" for n in range(5_010)]
            assert len(batches) > 1

        self.run(scenario)

    def test_only_expired_entries_are_pruned(self) -> None:
        """The number is told; a sequence that was pruned is never given again."""

        async def scenario(stores: Stores) -> None:
            old = a_revocation("t2", expires_at=NOW - 1)
            first, pruned, last = await stores.revocations.add([a_revocation("t1"), old, a_revocation("t3")])
            assert await stores.revocations.prune(NOW) == 1
            assert await stores.revocations.prune(NOW) == 0
            assert await _all(stores) == [first, last]
            (again,) = await stores.revocations.add([a_revocation("t2")])
            assert again.sequence > pruned.sequence

        self.run(scenario)

    def test_the_newest_entry_is_never_pruned(self) -> None:
        """After a quiet hour the position that everybody compares with is still there."""

        async def scenario(stores: Stores) -> None:
            _, newest = await stores.revocations.add([a_revocation(t, expires_at=NOW - 1) for t in ("t1", "t2")])
            assert await stores.revocations.prune(NOW) == 1
            assert await _all(stores) == [newest]

        self.run(scenario)

    def test_an_acknowledged_revocation_survives(self) -> None:
        """REV-14: another instance that opens the database afterwards reads it."""

        async def scenario(stores: Stores) -> None:
            added = await stores.revocations.add([a_revocation("t")])
            other = self.open()
            try:
                assert await _all(other) == added
            finally:
                await other.close()

        self.run(scenario)


class ChangeLogContract(Contract):
    """Caches follow the log; what it cannot tell, it says."""

    def test_the_log_is_followed_by_sequence(self) -> None:
        """Since a position come exactly the changes after it."""

        async def scenario(stores: Stores) -> None:
            assert await stores.changes.position() == 0
            assert await stores.changes.since(0) == []
            for client_id in ("c1", "c2", "c3"):
                await stores.clients.add(a_client(client_id))
            changes = await stores.changes.since(1)
            assert changes is not None
            assert [(change.sequence, change.key) for change in changes] == [(2, "c2"), (3, "c3")]
            assert await stores.changes.since(await stores.changes.position()) == []

        self.run(scenario)

    def test_a_position_ahead_of_the_log_is_not_believed(self) -> None:
        """DB-07: after a restored backup a follower is told to start over."""

        async def scenario(stores: Stores) -> None:
            assert await stores.changes.since(5) is None
            await stores.clients.add(a_client())
            assert await stores.changes.since(5) is None

        self.run(scenario)

    def test_the_stamp_differs_after_a_write_of_another_instance(self) -> None:
        """It differs whatever was written, and is still while nothing is."""

        async def scenario(stores: Stores) -> None:
            other = self.open()
            try:
                stamp = await stores.changes.stamp()
                assert await stores.changes.stamp() == stamp
                await other.revocations.add([a_revocation("t")])
                assert await stores.changes.stamp() != stamp
            finally:
                await other.close()

        self.run(scenario)


class StateContract(Contract):
    """Facts by name."""

    def test_the_last_value_stands(self) -> None:
        """Absent, stored, stored again."""

        async def scenario(stores: Stores) -> None:
            assert await stores.state.get("issuer") is None
            await stores.state.put("issuer", "https://a.example")
            await stores.state.put("issuer", "https://b.example")
            assert await stores.state.get("issuer") == "https://b.example"

        self.run(scenario)


async def _all(stores: Stores, *, after: int = 0) -> list[Revocation]:
    return [entry async for batch in stores.revocations.since(after) for entry in batch]
