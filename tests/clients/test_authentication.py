"""Client authentication from inside: what it costs, what it remembers, and when it cannot know."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from dataclasses import replace

import pytest

from authserver.clients import authentication
from authserver.clients.authentication import LEAST_REFUSAL_SECONDS, MAX_WAITING_SLOW, REMEMBER_SECONDS
from authserver.core.client import AuthMethod, ClientStatus, SecretState
from authserver.core.errors import InvalidClient, TemporarilyUnavailable, TooManyRequests
from authserver.core.secret import GENERATED_ROUNDS, IMPORTED_ROUNDS, SecretHash, generate_secret
from tests.clients.registry import GRACE_SECONDS, IMPORTED, Registry, secret_entry


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list that each derivation adds its rounds to; the derivation itself is cut short."""
    seen: list[int] = []

    def derive(secret: str, salt: bytes, count: int) -> bytes:
        seen.append(count)
        return hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, min(count, GENERATED_ROUNDS))

    monkeypatch.setattr(authentication, "derive", derive)
    return seen


def test_a_secret_is_derived_once_and_then_remembered(registry: Registry, rounds: list[int]) -> None:
    """AUTH-16: the first success costs one derivation, the next ones none, for five minutes."""

    async def scenario() -> list[bool]:
        secret = await registry.add("c1")
        answers = [await registry.authenticate("c1", secret) for _ in range(3)]
        registry.advance(REMEMBER_SECONDS)
        answers.append(await registry.authenticate("c1", secret))
        assert {answer.credential_id for answer in answers} == {"cr_c1"}
        return [answer.remembered for answer in answers]

    assert registry.run(scenario) == [False, True, True, False]
    assert rounds == [GENERATED_ROUNDS] * 2


def test_a_wrong_secret_is_never_remembered(registry: Registry, rounds: list[int]) -> None:
    """AUTH-14: a wrong secret and an unknown client cost one derivation each, each time."""

    async def scenario() -> None:
        secret = await registry.add("c1")
        for client_id, wrong in (("c1", secret + "x"), ("nobody", secret), ("c1", ""), ("nobody", "")) * 2:
            with pytest.raises(InvalidClient):
                await registry.authenticate(client_id, wrong)

    registry.run(scenario)
    assert rounds == [GENERATED_ROUNDS] * 8


def test_imported_secrets_make_every_foreign_secret_expensive(registry: Registry, rounds: list[int]) -> None:
    """AUTH-15: once a client has an imported secret, the cost depends on the secret presented, never on the id."""
    generated = generate_secret("cs")

    async def scenario() -> None:
        await registry.add("imported", IMPORTED)
        await registry.add("own")
        registry.authenticator.expect_imported_secrets()
        for secret in ("foreign-wrong-secret", generated):
            for client_id in ("imported", "own", "nobody"):
                with pytest.raises(InvalidClient):
                    await registry.authenticate(client_id, secret)

    registry.run(scenario)
    assert rounds == [IMPORTED_ROUNDS] * 3 + [GENERATED_ROUNDS] * 3


def test_an_imported_secret_works_at_its_full_cost(registry: Registry) -> None:
    """AUTH-10: 600,000 rounds for a secret chosen elsewhere, the first time; also beside a generated one."""

    async def scenario() -> None:
        await registry.add("c1", IMPORTED)
        stored = await registry.database.clients.get("c1")
        assert stored is not None
        parsed = SecretHash.parse(stored.secrets[0].secret_hash)
        assert parsed.rounds == IMPORTED_ROUNDS
        renewed = generate_secret("cs")
        await registry.database.client_secrets.start_rotation(
            secret_entry("c1", renewed, state=SecretState.NEXT, salt=parsed.salt)
        )
        old, new = await registry.authenticate("c1", IMPORTED), await registry.authenticate("c1", renewed)
        assert (old.credential_id, new.credential_id) == ("cr_c1", "cr_c1_next")
        assert (old.old_secret, new.old_secret) == (True, False)

    registry.run(scenario)


def test_a_rotation_ends_a_remembered_proof(registry: Registry) -> None:
    """AUTH-20: what is remembered is tied to the stored hash: it ends with it, not minutes later."""

    async def scenario() -> None:
        secret = await registry.add("c1")
        stored = await registry.database.clients.get("c1")
        assert stored is not None
        salt = SecretHash.parse(stored.secrets[0].secret_hash).salt
        entry = secret_entry("c1", generate_secret("cs"), state=SecretState.NEXT, salt=salt)
        await registry.database.client_secrets.start_rotation(entry)
        await registry.authenticate("c1", secret)
        await registry.database.client_secrets.complete_rotation("c1")
        registry.directory.forget("c1")
        for _ in range(2):
            with pytest.raises(InvalidClient, match="wrong secret"):
                await registry.authenticate("c1", secret)

    registry.run(scenario)


def test_a_replaced_hash_ends_a_remembered_proof(registry: Registry) -> None:
    """AUTH-20: also under the same credential id, a hash that is another one proves nothing of before."""

    async def scenario() -> None:
        secret, other = await registry.add("c1"), generate_secret("cs")
        await registry.authenticate("c1", secret)
        registry.execute("UPDATE client_secrets SET secret_hash = ?", secret_entry("c1", other).secret_hash)
        registry.directory.forget("c1")
        await registry.directory.load("c1")
        with pytest.raises(InvalidClient, match="wrong secret"):
            await registry.authenticate("c1", secret)
        assert (await registry.authenticate("c1", other)).credential_id == "cr_c1"

    registry.run(scenario)


def test_a_disabled_client_is_refused_although_remembered(registry: Registry) -> None:
    """TOK-25: a proof says who it is, not that it may."""

    async def scenario() -> None:
        secret = await registry.add("c1")
        client = (await registry.authenticate("c1", secret)).client
        await registry.database.clients.replace(replace(client, status=ClientStatus.DISABLED), expected_version=1)
        registry.directory.forget("c1")
        for _ in range(2):
            with pytest.raises(InvalidClient, match="disabled"):
                await registry.authenticate("c1", secret)

    registry.run(scenario)


def test_a_remembered_secret_is_bound_to_its_method(registry: Registry) -> None:
    """AUTH-04: proved by Basic is not proved in the body."""

    async def scenario() -> None:
        secret = await registry.add("c1")
        await registry.authenticate("c1", secret)
        with pytest.raises(InvalidClient, match="registered for"):
            await registry.authenticate("c1", secret, AuthMethod.CLIENT_SECRET_POST)

    registry.run(scenario)


def test_a_secret_expires_to_the_second(registry: Registry) -> None:
    """TOK-25: at `expires_at` a secret is refused, remembered or not."""

    async def scenario() -> None:
        secret = generate_secret("cs")
        entry = secret_entry("c1", secret, expires_at=registry.now_ms // 1000 + 10)
        await registry.add("c1", secret, secrets=(entry,))
        registry.advance(9)
        assert (await registry.authenticate("c1", secret)).credential_id == "cr_c1"
        registry.advance(1)
        with pytest.raises(InvalidClient, match="expired"):
            await registry.authenticate("c1", secret)

    registry.run(scenario)


def test_a_client_without_secrets_is_refused(registry: Registry) -> None:
    """AUTH-18: where there is no hash nothing matches, an empty secret least of all."""

    async def scenario() -> None:
        await registry.add("c1", secrets=())
        for secret in ("", "x", generate_secret("cs")):
            with pytest.raises(InvalidClient, match="wrong secret"):
                await registry.authenticate("c1", secret)

    registry.run(scenario)


def test_a_damaged_hash_matches_nothing_and_raises_the_alarm(registry: Registry) -> None:
    """AUTH-26: the client is refused, its credential is named to the operator, and others go on."""

    async def scenario() -> None:
        broken, good = await registry.add("c1"), await registry.add("c2")
        registry.execute("UPDATE client_secrets SET secret_hash = 'md5$x' WHERE client_id = 'c1'")
        with pytest.raises(InvalidClient, match="wrong secret"):
            await registry.authenticate("c1", broken)
        await registry.authenticate("c2", good)

    registry.run(scenario)
    assert registry.alarms == [("c1", "cr_c1")]


def test_known_clients_go_on_while_the_store_is_away(registry: Registry) -> None:
    """AUTH-25: within the grace a held client may prove itself, also anew; what fails is 503, never 401."""

    async def scenario() -> None:
        secret, cold = await registry.add("c1"), await registry.add("cold")
        await registry.authenticate("c1", secret)
        with registry.away():
            assert (await registry.authenticate("c1", secret)).remembered
            registry.advance(REMEMBER_SECONDS)
            assert not (await registry.authenticate("c1", secret)).remembered
            for client_id, presented in (("c1", "wrong"), ("nobody", secret), ("cold", cold)):
                with pytest.raises(TemporarilyUnavailable):
                    await registry.authenticate(client_id, presented)
            registry.age_seconds = GRACE_SECONDS + 1
            with pytest.raises(TemporarilyUnavailable):
                await registry.authenticate("c1", secret)

    registry.run(scenario)


def test_slow_secrets_do_not_queue_without_end(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """AUTH-16: at most 64 slow derivations wait; more are refused at once, and quick ones pass them by."""
    may_go = threading.Event()

    def derive(secret: str, salt: bytes, count: int) -> bytes:
        if count > GENERATED_ROUNDS:
            may_go.wait(10)
        return hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, GENERATED_ROUNDS)

    monkeypatch.setattr(authentication, "derive", derive)

    async def scenario() -> None:
        secret = await registry.add("c1")
        registry.authenticator.expect_imported_secrets()
        attempts = [registry.authenticate(f"x{number}", "slow") for number in range(MAX_WAITING_SLOW)]
        waiting = [asyncio.ensure_future(attempt) for attempt in attempts]
        while registry.authenticator._slow_waiting < MAX_WAITING_SLOW:  # noqa: ASYNC110 - no event says it
            await asyncio.sleep(0.01)
        with pytest.raises(TooManyRequests):
            await registry.authenticate("c1", "slow")
        assert (await registry.authenticate("c1", secret)).credential_id == "cr_c1"
        may_go.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(result) for result in results} == {InvalidClient}

    registry.run(scenario)


def test_every_refusal_takes_its_least_time(registry: Registry) -> None:
    """AUTH-15: unknown, wrong or not allowed: none is answered sooner than the others could be; a success is."""

    async def scenario() -> None:
        secret = await registry.add("c1")
        disabled = await registry.add("off", status=ClientStatus.DISABLED)
        for client_id, presented in (("c1", "wrong"), ("nobody", "wrong"), ("off", disabled)):
            start = time.perf_counter()
            with pytest.raises(InvalidClient):
                await registry.authenticate(client_id, presented)
            assert time.perf_counter() - start >= LEAST_REFUSAL_SECONDS * 0.95
        times = []
        for _ in range(5):
            start = time.perf_counter()
            await registry.authenticate("c1", secret)
            times.append(time.perf_counter() - start)
        assert min(times) < LEAST_REFUSAL_SECONDS

    registry.run(scenario)


def test_what_is_remembered_is_bounded(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """CRASH-04: the oldest proof gives way to the newest, and holds no secret."""
    monkeypatch.setattr(authentication, "MAX_REMEMBERED", 2)

    async def scenario() -> None:
        secrets = {client_id: await registry.add(client_id) for client_id in ("c1", "c2", "c3")}
        for client_id, secret in secrets.items():
            await registry.authenticate(client_id, secret)
        assert len(registry.authenticator._proofs) == 2
        assert (await registry.authenticate("c3", secrets["c3"])).remembered
        assert not (await registry.authenticate("c1", secrets["c1"])).remembered
        assert not any(secret in repr(registry.authenticator._proofs) for secret in secrets.values())

    registry.run(scenario)
