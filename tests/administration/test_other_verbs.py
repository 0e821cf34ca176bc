"""Verbs that no HTTP operation shows, and what all verbs have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from authserver.administration.actor import Actor
from authserver.core.errors import Conflict, InsufficientScope, NotFound
from authserver.core.resource import SigningAlg
from authserver.core.revocation import RevocationKind
from tests.administration.office import API, ROOT, Office, on_office

Attempt = Callable[[Office, Actor], Awaitable[object]]

EVERY_VERB: dict[str, Attempt] = {
    "clients.create": lambda office, actor: office.verbs.clients.create(actor, {"client_name": "n"}),
    "clients.get": lambda office, actor: office.verbs.clients.get(actor, "c"),
    "clients.page": lambda office, actor: office.verbs.clients.page(actor, after=None, limit=1),
    "clients.update": lambda office, actor: office.verbs.clients.update(actor, "c", {}),
    "clients.delete": lambda office, actor: office.verbs.clients.delete(actor, "c"),
    "secrets.start": lambda office, actor: office.verbs.secrets.start_rotation(actor, "c"),
    "secrets.complete": lambda office, actor: office.verbs.secrets.complete_rotation(actor, "c"),
    "secrets.cancel": lambda office, actor: office.verbs.secrets.cancel_rotation(actor, "c"),
    "secrets.remove": lambda office, actor: office.verbs.secrets.remove(actor, "c", "cred"),
    "resources.create": lambda office, actor: office.verbs.resources.create(actor, {"identifier": API}),
    "resources.get": lambda office, actor: office.verbs.resources.get(actor, "res_admin"),
    "resources.find": lambda office, actor: office.verbs.resources.find(actor, API),
    "resources.list": lambda office, actor: office.verbs.resources.list(actor),
    "resources.update": lambda office, actor: office.verbs.resources.update(actor, "res_admin", {}),
    "resources.delete": lambda office, actor: office.verbs.resources.delete(actor, "res_admin"),
    "templates.get": lambda office, actor: office.verbs.templates.get(actor),
    "templates.history": lambda office, actor: office.verbs.templates.history(actor),
    "templates.save": lambda office, actor: office.verbs.templates.save(actor, "{}"),
    "templates.restore": lambda office, actor: office.verbs.templates.restore(actor, 1),
    "templates.remove": lambda office, actor: office.verbs.templates.remove(actor),
    "templates.preview": lambda office, actor: office.verbs.templates.preview(actor, "c"),
    "signing_keys.list": lambda office, actor: office.verbs.signing_keys.list(actor),
    "signing_keys.pem": lambda office, actor: office.verbs.signing_keys.export_pem(actor, "k"),
    "signing_keys.secret": lambda office, actor: office.verbs.signing_keys.export_secret(actor, "k"),
    "signing_keys.rotate": lambda office, actor: office.verbs.signing_keys.rotate(actor),
    "signing_keys.revoke": lambda office, actor: office.verbs.signing_keys.revoke(actor, "k"),
    "revocations.add": lambda office, actor: office.verbs.revocations.add(actor, RevocationKind.ALL, None),
    "revocations.page": lambda office, actor: office.verbs.revocations.page(actor, after=0, limit=1),
    "status.get": lambda office, actor: office.verbs.status.get(actor),
}


@pytest.mark.parametrize("verb", EVERY_VERB)
def test_every_verb_asks_for_its_scope(verb: str) -> None:
    """ADM-02: whichever surface calls it, a verb refuses an actor without its scope and changes nothing."""

    async def scenario(office: Office) -> None:
        with pytest.raises(InsufficientScope):
            await EVERY_VERB[verb](office, Actor(name="nobody", scopes=frozenset()))
        assert (office.audit.events, office.settled) == ([], 0)

    on_office(scenario)


def test_other_workspaces_are_invisible() -> None:
    """An actor of another workspace finds no client, resource or key of this one."""

    async def scenario(office: Office) -> None:
        client, _ = await office.verbs.clients.create(ROOT, {"client_name": "n"})
        stranger = Actor(name="stranger", workspace_id="other")
        with pytest.raises(NotFound):
            await office.verbs.clients.get(stranger, client.client_id)
        with pytest.raises(NotFound):
            await office.verbs.secrets.start_rotation(stranger, client.client_id)
        assert await office.verbs.resources.list(stranger) == []
        assert await office.verbs.signing_keys.list(stranger) == []

    on_office(scenario)


def test_find_a_resource_by_its_identifier() -> None:
    """The command line names resources by their URI, compared as a string."""

    async def scenario(office: Office) -> None:
        created, _ = await office.verbs.resources.create(ROOT, {"identifier": API})
        assert await office.verbs.resources.find(ROOT, API) == created
        with pytest.raises(NotFound):
            await office.verbs.resources.find(ROOT, f"{API}/")

    on_office(scenario)


def test_export_of_a_shared_secret_is_recorded() -> None:
    """The secret of an HS256 resource can be read again by an operator, which leaves a record without it."""

    async def scenario(office: Office) -> None:
        _, secret = await office.verbs.resources.create(ROOT, {"identifier": API, "signing_alg": "HS256"})
        keys = {key.alg: key for key in await office.verbs.signing_keys.list(ROOT)}
        exported = await office.verbs.signing_keys.export_secret(ROOT, keys[SigningAlg.HS256].kid)
        assert secret is not None
        assert exported == secret.encode()
        assert office.audit.names[-1] == "signing_key.secret_exported"
        assert secret not in repr(office.audit.events)
        with pytest.raises(Conflict):
            await office.verbs.signing_keys.export_secret(ROOT, keys[SigningAlg.ES256].kid)

    on_office(scenario)
