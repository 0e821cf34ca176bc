"""Clients in memory: bounded, never older than what is known of the database."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from authserver.clients.directory import ClientDirectory
from authserver.core.client import Client
from authserver.core.errors import TemporarilyUnavailable
from authserver.core.ports import ClientStore
from tests.clients.registry import CAPACITY, GRACE_SECONDS, Registry


def test_a_client_is_read_once(registry: Registry) -> None:
    """AUTH-25: after the first use it is in memory, and the store may be away."""

    async def scenario() -> None:
        await registry.add("c1")
        assert registry.directory.held("c1") is None
        first = await registry.directory.get("c1")
        with registry.away():
            assert await registry.directory.get("c1") is first
            with pytest.raises(TemporarilyUnavailable):
                await registry.directory.load("c1")
            assert registry.directory.held("c1") is first

    registry.run(scenario)


def test_memory_is_believed_for_the_grace_alone(registry: Registry) -> None:
    """AUTH-25: when changes of other processes may have been missed for too long, memory does not answer."""

    async def scenario() -> None:
        await registry.add("c1")
        await registry.directory.load("c1")
        registry.age_seconds = GRACE_SECONDS
        assert registry.directory.held("c1") is not None
        registry.age_seconds = GRACE_SECONDS + 1
        with pytest.raises(TemporarilyUnavailable):
            registry.directory.held("c1")

    registry.run(scenario)


def test_an_unknown_client_is_not_kept(registry: Registry) -> None:
    """NET-12: unknown ids take no memory, and a client created later is found."""

    async def scenario() -> None:
        for number in range(10):
            assert await registry.directory.get(f"x{number}") is None
        assert len(registry.directory) == 0
        await registry.add("x1")
        assert await registry.directory.get("x1") is not None

    registry.run(scenario)


def test_the_number_of_clients_is_bounded(registry: Registry) -> None:
    """NET-12: the least recently used one gives way."""

    async def scenario() -> None:
        for number in range(CAPACITY + 1):
            await registry.add(f"c{number}")
        for number in range(CAPACITY):
            await registry.directory.load(f"c{number}")
        assert registry.directory.held("c0") is not None
        await registry.directory.load(f"c{CAPACITY}")
        assert len(registry.directory) == CAPACITY
        assert registry.directory.held("c0") is not None
        assert registry.directory.held("c1") is None

    registry.run(scenario)


def test_a_deleted_client_leaves_with_the_next_load(registry: Registry) -> None:
    """TOK-25: a load that finds nothing drops what was held."""

    async def scenario() -> None:
        await registry.add("c1")
        await registry.directory.load("c1")
        await registry.database.clients.remove("c1", expected_version=None)
        assert await registry.directory.load("c1") is None
        assert registry.directory.held("c1") is None

    registry.run(scenario)


def test_forgetting_reads_anew(registry: Registry) -> None:
    """ADM-10: a change that is announced is seen by the next request, for one client or for all."""

    async def scenario() -> None:
        await registry.add("c1")
        client = await registry.directory.get("c1")
        assert client is not None
        await registry.database.clients.replace(replace(client, client_name="new"), expected_version=1)
        assert await _held_version(registry) == 1
        registry.directory.forget("c1")
        assert await _held_version(registry) == 2
        await registry.database.clients.replace(replace(client, client_name="newer"), expected_version=2)
        assert await _held_version(registry) == 2
        registry.directory.forget_all()
        assert await _held_version(registry) == 3

    registry.run(scenario)


async def _held_version(registry: Registry) -> int:
    client = await registry.directory.get("c1")
    assert client is not None
    return client.version


@dataclass
class _Slow:
    """The real store, whose answer is on its way until the test lets it arrive."""

    store: ClientStore
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    arrives: asyncio.Event = field(default_factory=asyncio.Event)

    async def get(self, client_id: str) -> Client | None:
        client = await self.store.get(client_id)
        self.asked.set()
        await self.arrives.wait()
        return client


@pytest.mark.parametrize("all_of_them", [True, False])
def test_a_change_during_a_load_is_not_lost(registry: Registry, *, all_of_them: bool) -> None:
    """RACE-03: what was read before a change, and arrives after it was announced, is not kept."""

    async def scenario() -> None:
        await registry.add("c1")
        slow = _Slow(registry.database.clients)
        directory = ClientDirectory(store=slow, knowledge=registry, capacity=9, grace_seconds=9)  # type: ignore[arg-type]
        loading = asyncio.ensure_future(directory.load("c1"))
        await slow.asked.wait()
        if all_of_them:
            directory.forget_all()
        else:
            directory.forget("c1")
        slow.arrives.set()
        assert await loading is not None
        assert directory.held("c1") is None
        await directory.load("c1")
        assert directory.held("c1") is not None

    registry.run(scenario)
