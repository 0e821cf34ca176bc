"""The follower: other processes' changes reach every cache, and what cannot be known is admitted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
import structlog

from authserver.core.errors import TemporarilyUnavailable
from authserver.core.ports import Change, ChangeKind
from authserver.replication import follower as follower_module
from authserver.replication.follower import Follower

Seen = list[tuple[ChangeKind | str, frozenset[str] | None]]


class Log:
    """A change log in memory that can be pruned, or be away."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.writes = 0
        self.pruned_to = 0
        self.away = False
        self.asked = 0

    def write(self, kind: ChangeKind | None, key: str = "") -> None:
        """Let another process commit: a change of something, or of what leaves no row (a revocation)."""
        self.writes += 1
        if kind is not None:
            self.changes.append(Change(len(self.changes) + 1, kind, key))

    async def stamp(self) -> object:
        """Count the commits."""
        self.asked += 1
        self._require_there()
        return self.writes

    async def position(self) -> int:
        """Return the newest sequence."""
        self._require_there()
        return len(self.changes)

    async def since(self, sequence: int) -> Sequence[Change] | None:
        """Return what follows, None when that was pruned."""
        self._require_there()
        return None if sequence < self.pruned_to else self.changes[sequence:]

    def _require_there(self) -> None:
        if self.away:
            raise TemporarilyUnavailable("database: away")


class Process:
    """A follower and what its handlers were told."""

    def __init__(self) -> None:
        self.log = Log()
        self.seen: Seen = []
        self.failing: set[ChangeKind | str] = set()
        self.follower = Follower(changes=self.log)

    async def start(self) -> None:
        """Start, and forget what the first loading told."""
        handlers = {kind: self._handler(kind) for kind in ChangeKind}
        await self.follower.start(handlers=handlers, revocations=self._revocations)
        assert {kind for kind, keys in self.seen if keys is None} == {*ChangeKind, "revocations"}
        self.seen.clear()

    def _handler(self, kind: ChangeKind) -> Callable[[frozenset[str] | None], Awaitable[None]]:
        async def handle(keys: frozenset[str] | None) -> None:
            await asyncio.sleep(0)
            if kind in self.failing:
                raise TemporarilyUnavailable("database: away")
            self.seen.append((kind, keys))

        return handle

    async def _revocations(self) -> None:
        if "revocations" in self.failing:
            raise TemporarilyUnavailable("database: away")
        self.seen.append(("revocations", None))


def started(then: Callable[[Process], Awaitable[None]]) -> None:
    """Run `then` with a process that has started."""

    async def run() -> None:
        process = Process()
        await process.start()
        await then(process)

    asyncio.run(run())


def test_each_change_reaches_its_cache() -> None:
    """ROT-04: changes are handed on by kind, in one set each, once; kinds without a change are left alone."""

    async def then(process: Process) -> None:
        for key in ("cl_1", "cl_2", "cl_1"):
            process.log.write(ChangeKind.CLIENT, key)
        process.log.write(ChangeKind.SIGNING_KEY, "kid_1")
        for _ in range(2):
            await process.follower.catch_up()
        assert process.seen == [
            (ChangeKind.CLIENT, frozenset({"cl_1", "cl_2"})),
            (ChangeKind.SIGNING_KEY, frozenset({"kid_1"})),
            ("revocations", None),
        ]

    started(then)


def test_revocations_leave_no_row_and_are_followed_all_the_same() -> None:
    """REV-13: a commit without a change row brings the revocations."""

    async def then(process: Process) -> None:
        process.log.write(None)
        await process.follower.catch_up()
        assert process.seen == [("revocations", None)]

    started(then)


def test_nothing_written_nothing_done() -> None:
    """REV-13: without a commit no cache is touched."""

    async def then(process: Process) -> None:
        await process.follower.catch_up()
        assert process.seen == []

    started(then)


def test_a_pruned_log_forgets_everything() -> None:
    """REV-13: when the log no longer reaches back, every cache forgets everything; then changes count again."""

    async def then(process: Process) -> None:
        for number in range(5):
            process.log.write(ChangeKind.CLIENT, f"cl_{number}")
        process.log.pruned_to = 3
        await process.follower.catch_up()
        assert process.seen == [*((kind, None) for kind in ChangeKind), ("revocations", None)]
        process.seen.clear()
        process.log.write(ChangeKind.RESOURCE, "res_1")
        await process.follower.catch_up()
        assert process.seen == [(ChangeKind.RESOURCE, frozenset({"res_1"})), ("revocations", None)]

    started(then)


@pytest.mark.parametrize("where", [*ChangeKind, "revocations"])
def test_forgetting_everything_is_tried_again(where: ChangeKind | str) -> None:
    """INT-10: after a pruned log too, a handler that fails is called again until every cache has forgotten."""

    async def then(process: Process) -> None:
        process.log.write(ChangeKind.CLIENT, "cl_1")
        process.log.pruned_to = 1
        process.failing.add(where)
        with pytest.raises(TemporarilyUnavailable):
            await process.follower.catch_up()
        process.failing.clear()
        await process.follower.catch_up()
        assert {kind for kind, keys in process.seen if keys is None} == {*ChangeKind, "revocations"}

    started(then)


@pytest.mark.parametrize("where", [ChangeKind.CLIENT, ChangeKind.TEMPLATE, "revocations"])
def test_what_failed_is_tried_again(where: ChangeKind | str) -> None:
    """INT-10: a handler that fails loses nothing: the same changes come again with the next look."""

    async def then(process: Process) -> None:
        process.log.write(ChangeKind.CLIENT, "cl_1")
        process.log.write(ChangeKind.TEMPLATE, "default")
        process.failing.add(where)
        with pytest.raises(TemporarilyUnavailable):
            await process.follower.catch_up()
        process.failing.clear()
        process.seen.clear()
        await process.follower.catch_up()
        told = dict(process.seen)
        assert "revocations" in told
        if where != "revocations":
            assert told[where] is not None

    started(then)


def test_a_change_while_catching_up_is_not_missed() -> None:
    """RACE-03: what is written while a look is under way is seen by the next one."""

    async def then(process: Process) -> None:
        process.log.write(ChangeKind.CLIENT, "cl_1")
        looking = asyncio.create_task(process.follower.catch_up())
        await asyncio.sleep(0)
        process.log.write(ChangeKind.CLIENT, "cl_2")
        await looking
        await process.follower.catch_up()
        told = frozenset().union(*(keys or frozenset() for kind, keys in process.seen if kind is ChangeKind.CLIENT))
        assert told == {"cl_1", "cl_2"}

    started(then)


def test_knowledge_ages_while_the_database_is_away() -> None:
    """INT-10: past the grace `require_fresh` raises, whatever was known; a successful look mends it."""

    async def then(process: Process) -> None:
        process.follower.require_fresh(1)
        process.log.away = True
        with pytest.raises(TemporarilyUnavailable):
            await process.follower.catch_up()
        await asyncio.sleep(0.3)
        aged = process.follower.age_seconds()
        assert aged >= 0.3
        with pytest.raises(TemporarilyUnavailable):
            process.follower.require_fresh(0)
        process.log.away = False
        await process.follower.catch_up()
        assert process.follower.age_seconds() < aged

    started(then)


def test_a_slow_answer_is_as_old_as_its_question() -> None:
    """INT-10: knowledge dates from when the database was asked, not from when it answered."""

    async def then(process: Process) -> None:
        stamp = process.log.stamp

        async def slow() -> object:
            seen = await stamp()
            await asyncio.sleep(0.1)
            return seen

        process.log.stamp = slow  # type: ignore[method-assign]
        await process.follower.catch_up()
        assert process.follower.age_seconds() >= 0.1

    started(then)


def test_a_failing_start_fails() -> None:
    """INT-10: a process that cannot load what was revoked does not start."""

    async def run() -> None:
        process = Process()
        process.log.away = True
        with pytest.raises(TemporarilyUnavailable):
            await process.start()

    asyncio.run(run())


def test_it_goes_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """INT-10: a database that is away is asked on and on, reported once, and followed again when it is back."""
    monkeypatch.setattr(follower_module, "POLL_SECONDS", 0.005)

    async def then(process: Process) -> None:
        process.log.away = True
        running = asyncio.create_task(process.follower.run())
        await asyncio.sleep(0.1)
        assert process.log.asked > 5
        process.log.write(ChangeKind.CLIENT, "cl_1")
        process.log.away = False
        await asyncio.sleep(0.1)
        running.cancel()
        assert (ChangeKind.CLIENT, frozenset({"cl_1"})) in process.seen

    with structlog.testing.capture_logs() as lines:
        started(then)
    assert [line["event"] for line in lines] == ["database.unavailable", "database.back"]


def test_an_unexpected_error_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """INT-10: whatever a handler raises, the follower goes on; it must never end in silence."""
    monkeypatch.setattr(follower_module, "POLL_SECONDS", 0.005)

    async def then(process: Process) -> None:
        stamp = process.log.stamp

        async def broken() -> object:
            await stamp()
            raise RuntimeError("a bug")

        process.log.stamp = broken  # type: ignore[method-assign]
        running = asyncio.create_task(process.follower.run())
        await asyncio.sleep(0.05)
        assert not running.done()
        process.log.stamp = stamp  # type: ignore[method-assign]
        process.log.write(ChangeKind.CLIENT, "cl_1")
        await asyncio.sleep(0.05)
        running.cancel()
        assert (ChangeKind.CLIENT, frozenset({"cl_1"})) in process.seen

    with structlog.testing.capture_logs():
        started(then)


@pytest.mark.parametrize("turns", range(6))
def test_it_ends_however_close_to_a_wake(turns: int) -> None:
    """CRASH-03: a process that is told to stop just when the follower was woken does not wait for it for ever."""

    async def then(process: Process) -> None:
        running = asyncio.create_task(process.follower.run())
        await asyncio.sleep(0.01)
        process.follower.wake()
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running], timeout=1)
        assert running.done()

    started(then)


def test_another_way_to_look_is_taken() -> None:
    """RDS-14: what is given to `run` is called at each turn, and woken like the follower itself."""
    looks = asyncio.Queue[None]()

    async def then(process: Process) -> None:
        async def look() -> None:
            await process.follower.catch_up()
            looks.put_nowait(None)

        running = asyncio.create_task(process.follower.run(look))
        process.log.write(ChangeKind.CLIENT, "cl_1")
        process.follower.wake()
        await asyncio.wait_for(looks.get(), 1)
        assert (ChangeKind.CLIENT, frozenset({"cl_1"})) in process.seen
        running.cancel()

    started(then)
