"""Who may do what, as a pure decision."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authserver.administration.actor import Actor
from authserver.administration.scopes import AdminScope
from authserver.core.client import Client
from authserver.core.errors import InsufficientScope
from authserver.core.identifiers import ADMIN_RESOURCE
from authserver.core.resource import Resource

API = "https://api.example"


def client(scope: str, *audiences: str, client_id: str = "target") -> Client:
    """Return a client with a scope and audiences."""
    return Client(
        client_id=client_id,
        workspace_id="default",
        client_name="n",
        scope=tuple(scope.split()),
        audiences=audiences,
        created_at=0,
        updated_at=0,
    )


ACTOR = Actor(
    name="client:actor",
    scopes=frozenset({"clients:write"}),
    client=client("clients:write keys:write read", ADMIN_RESOURCE, API, client_id="actor"),
)


@pytest.mark.parametrize(
    ("target", "allowed"),
    [
        (client(""), True),
        (client("read"), True),
        (client("read", API), True),
        (client("write", API), False),
        (client("write"), False),
        (client("read", "urn:other"), False),
        (client("clients:read", ADMIN_RESOURCE), True),
        (client("clients:write read", ADMIN_RESOURCE), True),
        (client("keys:write", ADMIN_RESOURCE), False),
        (client("keys:read", ADMIN_RESOURCE), False),
        (client("unknown", ADMIN_RESOURCE), False),
        (client("keys:write", API), True),
    ],
    ids=lambda value: f"{value.scope} at {value.audiences}" if isinstance(value, Client) else str(value),
)
def test_dominance(target: Client, allowed: bool) -> None:  # noqa: FBT001
    """ADM-03: scopes and audiences within one's own; at the management API only those of the token."""
    assert dominates(ACTOR, target) is allowed


def test_root_dominates_everybody() -> None:
    """The admin token and the command line may do everything."""
    assert dominates(Actor(name="root"), client("keys:write", ADMIN_RESOURCE))


def test_a_token_without_client_dominates_nobody() -> None:
    """Fail closed: scopes alone, without a client behind them, grant nothing."""
    assert not dominates(replace(ACTOR, client=None), client(""))


def test_resource_servers_are_dominated_by_their_like() -> None:
    """ADM-03: the client that serves a resource is in reach only for one that serves it too."""
    target = client("read")
    served = Resource(
        resource_id="r",
        workspace_id="default",
        identifier=API,
        created_at=0,
        updated_at=0,
        resource_servers=("target",),
    )
    assert not dominates(ACTOR, target, served)
    assert dominates(ACTOR, target, replace(served, resource_servers=("actor", "target")))


@pytest.mark.parametrize("scope", AdminScope)
def test_an_empty_token_may_nothing(scope: AdminScope) -> None:
    """ADM-02: without its scope no verb is open."""
    with pytest.raises(InsufficientScope):
        replace(ACTOR, scopes=frozenset()).require(scope)


def dominates(actor: Actor, target: Client, *resources: Resource) -> bool:
    """Tell whether the decision is to allow."""
    try:
        actor.require_dominates(target, {resource.identifier: resource for resource in resources})
    except InsufficientScope:
        return False
    return True
