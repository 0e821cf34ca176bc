"""`last_used_at` of secrets: buffered, written now and then, kept while the store is away."""

from __future__ import annotations

from collections.abc import Mapping

from authserver.clients.usage import SecretUsage
from authserver.core.errors import TemporarilyUnavailable
from tests.clients.registry import Registry


async def _last_used_at(registry: Registry, client_id: str = "c1") -> int | None:
    client = await registry.database.clients.get(client_id)
    assert client is not None
    return client.secrets[0].last_used_at


def test_use_is_written_on_flush(registry: Registry) -> None:
    """AUTH-20: the newest use of a secret is stored, without a write for each request."""

    async def scenario() -> None:
        await registry.add("c1")
        usage = SecretUsage(store=registry.database.client_secrets)
        usage.note("cr_c1", 100)
        usage.note("cr_c1", 200)
        assert await _last_used_at(registry) is None
        await usage.flush()
        assert await _last_used_at(registry) == 200
        usage.note("cr_c1", 150)
        await usage.flush()
        assert await _last_used_at(registry) == 200

    registry.run(scenario)


def test_use_is_kept_while_the_store_is_away(registry: Registry) -> None:
    """DB-04: a flush that fails raises nothing and loses nothing; what came since is not overwritten."""

    async def scenario() -> None:
        await registry.add("c1")
        usage = SecretUsage(store=registry.database.client_secrets)
        usage.note("cr_c1", 100)
        registry.execute("ALTER TABLE client_secrets RENAME TO hidden")
        await usage.flush()
        usage.note("cr_c1", 300)
        await usage.flush()
        registry.execute("ALTER TABLE hidden RENAME TO client_secrets")
        await usage.flush()
        assert await _last_used_at(registry) == 300

    registry.run(scenario)


def test_use_during_a_flush_that_fails_is_kept(registry: Registry) -> None:
    """DB-04: what is noted while a flush is on its way to failing is the newer fact, and stays."""

    class Failing:
        async def record_use(self, last_used_at: Mapping[str, int]) -> None:
            assert last_used_at == {"cr_c1": 100, "cr_c2": 100}
            usage.note("cr_c1", 300)
            raise TemporarilyUnavailable

    usage = SecretUsage(store=Failing())  # type: ignore[arg-type]

    async def scenario() -> None:
        await registry.add("c1")
        await registry.add("c2")
        usage.note("cr_c1", 100)
        usage.note("cr_c2", 100)
        await usage.flush()
        usage._store = registry.database.client_secrets
        await usage.flush()
        assert await _last_used_at(registry) == 300
        assert await _last_used_at(registry, "c2") == 100

    registry.run(scenario)


def test_use_of_a_secret_that_is_gone_is_no_error(registry: Registry) -> None:
    """AUTH-20: a secret may be removed between its use and the flush."""

    async def scenario() -> None:
        usage = SecretUsage(store=registry.database.client_secrets)
        usage.note("cr_gone", 100)
        await usage.flush()

    registry.run(scenario)
