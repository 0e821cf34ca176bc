"""The contract of ClientStore and ClientSecretStore."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from authserver.core.client import ClientStatus, SecretState
from authserver.core.errors import Conflict, NotFound, PreconditionFailed, TemporarilyUnavailable

from .subjects import NOW, Contract, Stores, a_client, a_resource, a_secret, changes_since


class ClientContract(Contract):
    """Clients are found by their exact id, changed by version, and listed by id."""

    def test_a_client_comes_back_as_it_was_stored(self) -> None:
        """Every field and both secrets survive, the active secret first."""
        secrets = a_secret("k1"), a_secret("k2", state=SecretState.NEXT)
        client = a_client(secrets=secrets, default_scope=("read",), default_audience="https://api.example")

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(client)
            assert await stores.clients.get("c1") == client
            assert await changes_since(stores, 0) == [("client", "c1")]

        self.run(scenario)

    def test_absent_values_stay_absent(self) -> None:
        """No default scope is not an empty default scope."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client("none"))
            await stores.clients.add(a_client("empty", default_scope=()))
            none, empty = await stores.clients.get("none"), await stores.clients.get("empty")
            assert none is not None
            assert empty is not None
            assert (none.default_scope, empty.default_scope) == (None, ())

        self.run(scenario)

    @pytest.mark.parametrize("other", ["C1", "c1 ", " c1", "c%", "' OR 1=1--", "\u217d1", "", "c1\x00", "c\ud800"])
    def test_only_the_exact_id_is_found(self, other: str) -> None:
        """AUTH-21: case, spaces, wildcards, look-alikes, NUL and lone surrogates name no client."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client("c1"))
            assert await stores.clients.get(other) is None

        self.run(scenario)

    def test_composed_and_decomposed_ids_differ(self) -> None:
        """AUTH-21: an NFC and an NFD id are two clients."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client("\u00e9", client_name="composed"))
            await stores.clients.add(a_client("e\u0301", client_name="decomposed"))
            found = await stores.clients.get("e\u0301")
            assert found is not None
            assert found.client_name == "decomposed"

        self.run(scenario)

    def test_of_many_creates_with_one_id_one_wins(self) -> None:
        """ADM-13: 50 parallel creates: one stored, 49 conflicts, one change row."""

        async def scenario(stores: Stores) -> None:
            creates = (stores.clients.add(a_client(client_name=str(n))) for n in range(50))
            outcomes = await asyncio.gather(*creates, return_exceptions=True)
            refusals = [outcome for outcome in outcomes if outcome is not None]
            assert len(refusals) == 49
            # A machine with too much to do may have no time for some of them, and says so.
            assert all(isinstance(refusal, Conflict | TemporarilyUnavailable) for refusal in refusals)
            assert any(isinstance(refusal, Conflict) for refusal in refusals)
            assert await stores.changes.position() == 1

        self.run(scenario)

    def test_replace_counts_versions_and_keeps_the_secrets(self) -> None:
        """DB-09: the second of two changes made from one version is refused and changes nothing."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client(secrets=[a_secret("k1")]))
            disabled = replace(a_client(), status=ClientStatus.DISABLED, updated_at=NOW + 1)
            stored = await stores.clients.replace(disabled, expected_version=1)
            assert stored == replace(disabled, version=2, secrets=(a_secret("k1"),))
            with pytest.raises(PreconditionFailed):
                await stores.clients.replace(a_client(client_name="lost"), expected_version=1)
            assert await stores.clients.get("c1") == stored
            assert await stores.changes.position() == 2

        self.run(scenario)

    def test_of_many_changes_from_one_version_one_wins(self) -> None:
        """DB-09: parallel read-modify-write loses no update."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client())
            changes = (stores.clients.replace(a_client(client_name=str(n)), expected_version=1) for n in range(10))
            outcomes = await asyncio.gather(*changes, return_exceptions=True)
            assert sum(isinstance(outcome, PreconditionFailed) for outcome in outcomes) == 9
            assert [await stores.clients.get("c1")] == [each for each in outcomes if not isinstance(each, Exception)]

        self.run(scenario)

    def test_pages_follow_the_bytes_of_the_ids(self) -> None:
        """Each client appears once, in byte order, with its secret; the last page says so."""

        async def scenario(stores: Stores) -> None:
            for client_id in ("b", "a", "é", "B", "a1"):
                await stores.clients.add(a_client(client_id, secrets=[a_secret(f"k-{client_id}", client_id)]))
            first = await stores.clients.page("default", after=None, limit=3)
            second = await stores.clients.page("default", after=first.next_after, limit=3)
            ids = [client.client_id for client in (*first.items, *second.items)]
            assert ids == ["B", "a", "a1", "b", "é"]
            assert (first.next_after, second.next_after) == ("a1", None)
            assert all(len(client.secrets) == 1 for client in first.items)
            assert (await stores.clients.page("default", after="b", limit=1)).next_after is None
            assert not (await stores.clients.page("another", after=None, limit=3)).items

        self.run(scenario)

    def test_remove_takes_secrets_and_appointments_along(self) -> None:
        """The resources that lost a resource server are noted too."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client(secrets=[a_secret("k1")]))
            await stores.resources.add(a_resource(resource_servers=("c1",)), key=None)
            with pytest.raises(PreconditionFailed):
                await stores.clients.remove("c1", expected_version=7)
            before = await stores.changes.position()
            await stores.clients.remove("c1", expected_version=1)
            assert await changes_since(stores, before) == [("client", "c1"), ("resource", "r1")]
            assert all(not resource.resource_servers for resource in await stores.resources.all())
            await stores.clients.add(a_client(secrets=[a_secret("k1")]))

        self.run(scenario)

    def test_what_does_not_exist_is_not_found(self) -> None:
        """Every verb on an unknown client raises NotFound and leaves no change row."""

        async def scenario(stores: Stores) -> None:
            with pytest.raises(NotFound):
                await stores.clients.replace(a_client(), expected_version=1)
            with pytest.raises(NotFound):
                await stores.clients.remove("c1", expected_version=None)
            with pytest.raises(NotFound):
                await stores.client_secrets.start_rotation(a_secret("k1"))
            for verb in (stores.client_secrets.complete_rotation, stores.client_secrets.cancel_rotation):
                with pytest.raises(NotFound):
                    await verb("c1")
            with pytest.raises(NotFound):
                await stores.client_secrets.remove("c1", "k1")
            assert await stores.changes.position() == 0

        self.run(scenario)


class ClientSecretContract(Contract):
    """A client has one active secret and, during a rotation, a next one."""

    def test_a_rotation_is_completed(self) -> None:
        """Start, both live, complete: the next one alone is active; each step is noted."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client(secrets=[a_secret("k1")]))
            await stores.client_secrets.start_rotation(a_secret("k2", state=SecretState.NEXT))
            assert await _secrets(stores) == [("k1", "active"), ("k2", "next")]
            await stores.client_secrets.complete_rotation("c1")
            assert await _secrets(stores) == [("k2", "active")]
            assert await stores.changes.position() == 3

        self.run(scenario)

    def test_a_rotation_is_cancelled(self) -> None:
        """Cancel deletes the next secret; without a rotation both ends of it are conflicts."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client(secrets=[a_secret("k1")]))
            await stores.client_secrets.start_rotation(a_secret("k2", state=SecretState.NEXT))
            await stores.client_secrets.cancel_rotation("c1")
            assert await _secrets(stores) == [("k1", "active")]
            for verb in (stores.client_secrets.complete_rotation, stores.client_secrets.cancel_rotation):
                with pytest.raises(Conflict):
                    await verb("c1")
            assert await stores.changes.position() == 3

        self.run(scenario)

    def test_of_many_rotations_one_starts(self) -> None:
        """Ten parallel starts leave one next secret."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client(secrets=[a_secret("k0")]))
            nexts = (a_secret(f"k{n}", state=SecretState.NEXT) for n in range(1, 11))
            starts = (stores.client_secrets.start_rotation(each) for each in nexts)
            outcomes = await asyncio.gather(*starts, return_exceptions=True)
            assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 9
            assert [state for _, state in await _secrets(stores)] == ["active", "next"]

        self.run(scenario)

    def test_a_secret_that_stays_alone_is_active(self) -> None:
        """Removing the active secret promotes the next one; the first secret of a bare client is active."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client())
            for credential_id in ("k1", "k2"):
                await stores.client_secrets.start_rotation(a_secret(credential_id, state=SecretState.NEXT))
            assert await _secrets(stores) == [("k1", "active"), ("k2", "next")]
            await stores.client_secrets.remove("c1", "k1")
            assert await _secrets(stores) == [("k2", "active")]

        self.run(scenario)

    def test_a_secret_of_another_client_is_not_removed(self) -> None:
        """The pair of client and credential must match."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client("c1", secrets=[a_secret("k1")]))
            await stores.clients.add(a_client("c2"))
            with pytest.raises(NotFound):
                await stores.client_secrets.remove("c2", "k1")
            assert await _secrets(stores) == [("k1", "active")]

        self.run(scenario)

    def test_last_use_never_goes_backwards(self) -> None:
        """An older time and an unknown credential change nothing; no change row is left."""

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client(secrets=[a_secret("k1"), a_secret("k2", state=SecretState.NEXT)]))
            await stores.client_secrets.record_use({})
            await stores.client_secrets.record_use({"k1": NOW + 5, "k2": NOW + 1, "gone": NOW})
            await stores.client_secrets.record_use({"k1": NOW, "k2": NOW + 9})
            client = await stores.clients.get("c1")
            assert client is not None
            assert [secret.last_used_at for secret in client.secrets] == [NOW + 5, NOW + 9]
            assert await stores.changes.position() == 1

        self.run(scenario)


async def _secrets(stores: Stores) -> list[tuple[str, str]]:
    client = await stores.clients.get("c1")
    assert client is not None
    return [(secret.credential_id, secret.state.value) for secret in client.secrets]
