"""The verbs for clients and their secrets, on SQLite."""

from __future__ import annotations

import pytest

from authserver.core.client import SecretState
from authserver.core.errors import InsufficientScope, PreconditionFailed, TemporarilyUnavailable
from authserver.core.revocation import RevocationKind
from authserver.core.secret import GENERATED_ROUNDS, IMPORTED_ROUNDS, SecretHash, derive
from tests.administration.office import API, MAX_TTL_SECONDS, ROOT, START_MS, UNHEARD_SECONDS, Office, on_office


def test_stored_hash_matches_the_secret() -> None:
    """A generated secret is kept as a salted hash of few rounds, an imported one of many."""

    async def scenario(office: Office) -> None:
        generated, secret = await office.verbs.clients.create(ROOT, {"client_name": "a"})
        imported, other = await office.verbs.clients.create(
            ROOT, {"client_name": "b", "client_id": "b", "client_secret": "correct horse battery"}
        )
        for client, plain, rounds in ((generated, secret, GENERATED_ROUNDS), (imported, other, IMPORTED_ROUNDS)):
            (entry,) = (await office.stored(client.client_id)).secrets
            parsed = SecretHash.parse(entry.secret_hash)
            assert parsed.rounds == rounds
            assert parsed.matches(derive(plain, parsed.salt, rounds))

    on_office(scenario)


def test_secrets_of_a_client_share_a_salt() -> None:
    """During a rotation one derivation serves both secrets; another client has another salt."""

    async def scenario(office: Office) -> None:
        client, _ = await office.verbs.clients.create(ROOT, {"client_name": "a"})
        await office.verbs.secrets.start_rotation(ROOT, client.client_id)
        other, _ = await office.verbs.clients.create(ROOT, {"client_name": "b"})
        secrets = (await office.stored(client.client_id)).secrets
        salts = {SecretHash.parse(secret.secret_hash).salt for secret in secrets}
        assert {secret.state for secret in secrets} == {SecretState.ACTIVE, SecretState.NEXT}
        assert len(salts) == 1
        assert salts != {SecretHash.parse(other.secrets[0].secret_hash).salt}

    on_office(scenario)


def test_a_client_without_secrets_gets_one_again() -> None:
    """AUTH-20: after the emergency removal of its only secret a client is given a new one, active at once."""

    async def scenario(office: Office) -> None:
        client, _ = await office.verbs.clients.create(ROOT, {"client_name": "a"})
        await office.verbs.secrets.remove(ROOT, client.client_id, client.secrets[0].credential_id)
        await office.verbs.secrets.start_rotation(ROOT, client.client_id)
        assert [s.state for s in (await office.stored(client.client_id)).secrets] == [SecretState.ACTIVE]

    on_office(scenario)


@pytest.mark.parametrize("act", ["disable", "delete", "remove secret"])
def test_the_watermark_comes_first(act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """TOK-25, P3: when the revocation cannot be written, nothing else is: never a dead client with live tokens."""

    async def fail(*_: object, **__: object) -> None:
        raise TemporarilyUnavailable("no database")

    async def scenario(office: Office) -> None:
        client, _ = await office.verbs.clients.create(ROOT, {"client_name": "a"})
        before = await office.stored(client.client_id)
        monkeypatch.setattr(office.revoker, "revoke", fail)
        with pytest.raises(TemporarilyUnavailable):
            await do(office, act, client.client_id, client.secrets[0].credential_id)
        assert await office.stored(client.client_id) == before

    on_office(scenario)


@pytest.mark.parametrize("act", ["disable", "delete", "remove secret"])
def test_tokens_end_with_their_client(act: str) -> None:
    """TOK-25: disabling or deleting a client, or removing a secret, leaves a watermark for the feed."""

    async def scenario(office: Office) -> None:
        client, _ = await office.verbs.clients.create(ROOT, {"client_name": "a"})
        credential_id = client.secrets[0].credential_id
        await do(office, act, client.client_id, credential_id)
        expected = (RevocationKind.CLIENT, client.client_id)
        if act == "remove secret":
            expected = (RevocationKind.CREDENTIAL, credential_id)
        assert [(entry.kind, entry.value) for entry in await office.revocations()] == [expected]

    on_office(scenario)


def test_a_removed_secret_stays_refused_for_who_has_not_heard_of_it() -> None:
    """An instance that misses the removal may issue for a while yet: the watermark lies ahead by that time."""

    async def scenario(office: Office) -> None:
        client, _ = await office.verbs.clients.create(ROOT, {"client_name": "a"})
        await office.verbs.secrets.remove(ROOT, client.client_id, client.secrets[0].credential_id)
        (entry,) = await office.revocations()
        assert entry.revoked_at_ms >= START_MS + UNHEARD_SECONDS * 1000
        assert entry.expires_at >= START_MS // 1000 + UNHEARD_SECONDS + MAX_TTL_SECONDS

    on_office(scenario)


def test_enabling_brings_no_token_back() -> None:
    """RACE-03: what was issued by who had not heard of the disabling stays refused when the client is enabled."""

    async def scenario(office: Office) -> None:
        client, _ = await office.verbs.clients.create(ROOT, {"client_name": "a", "status": "disabled"})
        await office.verbs.clients.update(ROOT, client.client_id, {"status": "active"})
        assert [(entry.kind, entry.reason) for entry in await office.revocations()] == [
            (RevocationKind.CLIENT, "client enabled")
        ]

    on_office(scenario)


def test_other_changes_end_no_tokens() -> None:
    """A change that does not disable, or a second disabling, leaves no watermark."""

    async def scenario(office: Office) -> None:
        client, _ = await office.verbs.clients.create(ROOT, {"client_name": "a", "status": "disabled"})
        for patch in ({"client_name": "b"}, {"status": "disabled"}, {"scope": "read"}):
            await office.verbs.clients.update(ROOT, client.client_id, patch)
        assert await office.revocations() == []

    on_office(scenario)


def test_a_failed_precondition_ends_no_tokens() -> None:
    """ADM-10: a change refused for its version has no side effect at all."""

    async def scenario(office: Office) -> None:
        client, _ = await office.verbs.clients.create(ROOT, {"client_name": "a"})
        for attempt in (
            office.verbs.clients.update(ROOT, client.client_id, {"status": "disabled"}, expected_version=7),
            office.verbs.clients.delete(ROOT, client.client_id, expected_version=7),
        ):
            with pytest.raises(PreconditionFailed):
                await attempt
        assert await office.revocations() == []

    on_office(scenario)


def test_inclusion_counts_per_audience() -> None:
    """ADM-03: what a scope includes at one resource can be granted there, and nowhere else."""

    async def scenario(office: Office) -> None:
        scopes = [{"name": "write", "includes": ["read"]}, {"name": "read"}]
        await office.verbs.resources.create(ROOT, {"identifier": API, "scopes": scopes})
        audiences = ["urn:authserver:admin", API, "urn:example:other"]
        own = {"client_name": "a", "scope": "clients:write write", "audiences": audiences}
        client, _ = await office.verbs.clients.create(ROOT, own)
        actor = await office.actor(client.client_id, "clients:write")
        await office.verbs.clients.create(actor, {"client_name": "b", "scope": "read", "audiences": [API]})
        with pytest.raises(InsufficientScope):
            await office.verbs.clients.create(actor, {"client_name": "c", "scope": "read", "audiences": audiences[1:]})

    on_office(scenario)


async def do(office: Office, act: str, client_id: str, credential_id: str) -> None:
    """Do what ends tokens."""
    match act:
        case "disable":
            await office.verbs.clients.update(ROOT, client_id, {"status": "disabled"})
        case "delete":
            await office.verbs.clients.delete(ROOT, client_id)
        case _:
            await office.verbs.secrets.remove(ROOT, client_id, credential_id)
