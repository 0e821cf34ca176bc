"""The contract of ResourceStore, TemplateStore and SigningKeyStore."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from authserver.core.claims_template import StoredTemplate
from authserver.core.errors import Conflict, NotFound, PreconditionFailed, ValidationFailed
from authserver.core.identifiers import ADMIN_RESOURCE
from authserver.core.resource import Resource, SigningAlg
from authserver.core.signing_key import KeyState, SigningKey

from .subjects import NOW, Contract, Stores, a_client, a_key, a_resource, changes_since


class ResourceContract(Contract):
    """Resources are unique by identifier, changed by version, and take their keys and templates along."""

    def test_the_management_api_is_there_from_the_start(self) -> None:
        """A fresh database holds the built-in resource with its scopes closed under inclusion."""

        async def scenario(stores: Stores) -> None:
            (admin,) = await stores.resources.all()
            assert (admin.resource_id, admin.identifier, admin.built_in) == ("res_admin", ADMIN_RESOURCE, True)
            assert admin.inclusion()["clients:write"] == {"clients:read", "clients:write"}

        self.run(scenario)

    def test_a_resource_comes_back_as_it_was_stored(self) -> None:
        """Every field survives; the list follows the identifiers; the key comes with its resource."""
        resource = a_resource(resource_servers=("c1", "c2"), signing_alg=SigningAlg.HS256, access_token_ttl_seconds=60)

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client("c1"))
            await stores.clients.add(a_client("c2"))
            await stores.resources.add(resource, key=_shared_key("h1"))
            assert (await stores.resources.all())[0] == resource
            assert await stores.signing_keys.all() == [_shared_key("h1")]
            assert await changes_since(stores, 2) == [("signing_key", "h1"), ("resource", "r1")]

        self.run(scenario)

    def test_an_identifier_is_taken_once(self) -> None:
        """Add and replace both refuse a taken identifier, and store nothing of the attempt."""

        async def scenario(stores: Stores) -> None:
            await stores.resources.add(a_resource("r1", "https://a.example"), key=None)
            with pytest.raises(Conflict):
                await stores.resources.add(a_resource("r2", "https://a.example"), key=_shared_key("h1", "r2"))
            await stores.resources.add(a_resource("r2", "https://b.example"), key=None)
            with pytest.raises(Conflict):
                await stores.resources.replace(a_resource("r2", "https://a.example"), expected_version=1, key=None)
            assert not await stores.signing_keys.all()
            assert await stores.changes.position() == 2

        self.run(scenario)

    def test_an_unknown_resource_server_is_refused(self) -> None:
        """The field is named and the resource is not stored."""

        async def scenario(stores: Stores) -> None:
            with pytest.raises(ValidationFailed) as refusal:
                await stores.resources.add(a_resource(resource_servers=("nobody",)), key=None)
            assert [problem.field for problem in refusal.value.problems] == ["resource_servers"]
            assert len(await stores.resources.all()) == 1

        self.run(scenario)

    def test_replace_counts_versions(self) -> None:
        """DB-09: what is returned is what is stored; the earlier version is refused afterwards."""
        changed = a_resource(identifier="https://new.example", resource_servers=("c2",), updated_at=NOW + 1)

        async def scenario(stores: Stores) -> None:
            await stores.clients.add(a_client("c1"))
            await stores.clients.add(a_client("c2"))
            await stores.resources.add(a_resource(resource_servers=("c1",)), key=None)
            stored = await stores.resources.replace(changed, expected_version=1, key=None)
            assert stored == replace(changed, version=2)
            assert await _resource(stores) == stored
            with pytest.raises(PreconditionFailed):
                await stores.resources.replace(a_resource(), expected_version=1, key=None)
            with pytest.raises(NotFound):
                await stores.resources.replace(a_resource("gone"), expected_version=1, key=None)

        self.run(scenario)

    def test_a_new_shared_key_ends_the_earlier_one(self) -> None:
        """A resource that turns to HS256 again has one live key."""

        async def scenario(stores: Stores) -> None:
            await stores.resources.add(a_resource(signing_alg=SigningAlg.HS256), key=_shared_key("h1"))
            await stores.resources.replace(a_resource(), expected_version=1, key=None)
            again = a_resource(signing_alg=SigningAlg.HS256)
            before = await stores.changes.position()
            await stores.resources.replace(again, expected_version=2, key=_shared_key("h2"))
            assert [key.kid for key in await stores.signing_keys.all()] == ["h2"]
            kinds = [("signing_key", "h1"), ("signing_key", "h2"), ("resource", "r1")]
            assert await changes_since(stores, before) == kinds

        self.run(scenario)

    def test_remove_takes_templates_and_keys_along(self) -> None:
        """All that belonged to the resource is gone, and noted."""

        async def scenario(stores: Stores) -> None:
            await stores.resources.add(a_resource(), key=_shared_key("h1"))
            await stores.templates.save(_template(1, "r1"))
            before = await stores.changes.position()
            with pytest.raises(PreconditionFailed):
                await stores.resources.remove("r1", expected_version=2)
            await stores.resources.remove("r1", expected_version=None)
            noted = [("resource", "r1"), ("signing_key", "h1"), ("template", "r1")]
            assert await changes_since(stores, before) == noted
            assert not await stores.templates.history("default", "r1")
            assert not await stores.signing_keys.all()
            with pytest.raises(NotFound):
                await stores.resources.remove("r1", expected_version=None)

        self.run(scenario)


class TemplateContract(Contract):
    """Templates only gain versions."""

    def test_every_version_is_kept(self) -> None:
        """The newest is current, the history is newest first, workspace and resource are apart."""

        async def scenario(stores: Stores) -> None:
            await stores.resources.add(a_resource(), key=None)
            saved = [_template(1), _template(2), _template(1, "r1")]
            for template in saved:
                await stores.templates.save(template)
            assert await stores.templates.history("default", None) == [saved[1], saved[0]]
            assert sorted(await stores.templates.current(), key=lambda each: each.version) == [saved[2], saved[1]]
            assert await changes_since(stores, 1) == [
                ("template", "default"),
                ("template", "default"),
                ("template", "r1"),
            ]

        self.run(scenario)

    def test_a_removed_template_is_not_current(self) -> None:
        """Removal is a version without a source; a later version restores."""

        async def scenario(stores: Stores) -> None:
            await stores.templates.save(_template(1))
            await stores.templates.save(replace(_template(2), source=None))
            assert not await stores.templates.current()
            await stores.templates.save(_template(3))
            assert await stores.templates.current() == [_template(3)]

        self.run(scenario)

    @pytest.mark.parametrize("version", [0, 1, 3])
    def test_a_version_must_follow(self, version: int) -> None:
        """DB-09: an equal, older or later version is refused."""

        async def scenario(stores: Stores) -> None:
            await stores.templates.save(_template(1))
            with pytest.raises(PreconditionFailed):
                await stores.templates.save(_template(version))
            assert await stores.templates.history("default", None) == [_template(1)]

        self.run(scenario)


class SigningKeyContract(Contract):
    """Of many that change the keys, one wins."""

    def test_a_rotation_is_one_step(self) -> None:
        """Active retires, next becomes active, a new next comes, whatever their order in the call."""
        active, following = a_key("k1"), a_key("k2", KeyState.NEXT)
        after = [
            a_key("k3", KeyState.NEXT),
            a_key("k2", activated_at=NOW),
            a_key("k1", KeyState.RETIRING, retire_until=NOW + 60),
        ]

        async def scenario(stores: Stores) -> None:
            await stores.signing_keys.change(before=[], after=[active, following])
            await stores.signing_keys.change(before=[active, following], after=after)
            assert await stores.signing_keys.all() == sorted(after, key=lambda key: key.kid)
            assert {key for _, key in await changes_since(stores, 2)} == {"k1", "k2", "k3"}

        self.run(scenario)

    def test_of_ten_rotations_one_wins(self) -> None:
        """Nine see a conflict and leave nothing behind."""
        active = a_key("k0")

        async def scenario(stores: Stores) -> None:
            await stores.signing_keys.change(before=[], after=[active])
            retired = a_key("k0", KeyState.RETIRING)
            rotations = (
                stores.signing_keys.change(before=[active], after=[retired, a_key(f"k{n}")]) for n in range(1, 11)
            )
            outcomes = await asyncio.gather(*rotations, return_exceptions=True)
            assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 9
            assert [key.state for key in await stores.signing_keys.all()] == [KeyState.RETIRING, KeyState.ACTIVE]

        self.run(scenario)

    def test_of_ten_first_keys_one_wins(self) -> None:
        """Instances that start together on an empty database end up with one active key."""

        async def scenario(stores: Stores) -> None:
            firsts = (stores.signing_keys.change(before=[], after=[a_key(f"k{n}")]) for n in range(10))
            outcomes = await asyncio.gather(*firsts, return_exceptions=True)
            assert outcomes.count(None) == 1
            assert len(await stores.signing_keys.all()) == 1

        self.run(scenario)

    def test_a_key_that_was_revoked_in_between_is_not_overwritten(self) -> None:
        """A change made from a state that has passed is refused as a whole."""
        active, revoked = a_key("k1"), a_key("k1", KeyState.GONE, revoked_at=NOW)

        async def scenario(stores: Stores) -> None:
            await stores.signing_keys.change(before=[], after=[active])
            await stores.signing_keys.change(before=[active], after=[revoked])
            with pytest.raises(Conflict):
                await stores.signing_keys.change(before=[active], after=[a_key("k1", KeyState.RETIRING), a_key("k2")])
            assert await stores.signing_keys.all() == [revoked]

        self.run(scenario)

    def test_gone_keys_are_told_only_when_revoked(self) -> None:
        """A key that went in peace is not returned; keys of other algorithms have places of their own."""
        others = [a_key("k2", alg=SigningAlg.RS256), a_key("k3", KeyState.GONE)]

        async def scenario(stores: Stores) -> None:
            await stores.signing_keys.change(before=[], after=[a_key("k1"), *others])
            assert [key.kid for key in await stores.signing_keys.all()] == ["k1", "k2"]

        self.run(scenario)


def _template(version: int, resource_id: str | None = None) -> StoredTemplate:
    return StoredTemplate(
        workspace_id="default",
        resource_id=resource_id,
        version=version,
        source=f'{{"v": {version}}}',
        created_at=NOW,
    )


def _shared_key(kid: str, resource_id: str = "r1") -> SigningKey:
    return a_key(kid, resource_id=resource_id, alg=SigningAlg.HS256, public_jwk=None)


async def _resource(stores: Stores) -> Resource:
    (found,) = [resource for resource in await stores.resources.all() if resource.resource_id == "r1"]
    return found
