"""Judging tokens for a proxy where black-box tests cannot reach: workspaces, and what is not asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from authserver.core.errors import AccessDenied, InvalidToken, TemporarilyUnavailable
from authserver.core.identity import Identity
from authserver.core.ports import Page
from authserver.core.resource import Resource, ResourceScope
from authserver.resources.catalog import ResourceCatalog
from authserver.tokens.forward import ForwardedTokenCheck
from tests.tokens.scene import API, GRACE_SECONDS, Scene, resource_served_by

OTHER_API = "https://other.example.com"


class Resources:
    """A store of resources that can only be read."""

    def __init__(self, *resources: Resource) -> None:
        self._resources = resources

    async def all(self) -> tuple[Resource, ...]:
        """Return every resource."""
        return self._resources

    async def page(self, workspace_id: str, *, after: str | None, limit: int) -> Page[Resource]:
        """Not asked here."""
        raise NotImplementedError

    async def add(self, resource: Resource, **_: object) -> None:
        """Not asked here."""
        raise NotImplementedError

    async def replace(self, resource: Resource, **_: object) -> Resource:
        """Not asked here."""
        raise NotImplementedError

    async def remove(self, resource_id: str, **_: object) -> None:
        """Not asked here."""
        raise NotImplementedError


@pytest.fixture
def scene() -> Scene:
    """Return a world with one client."""
    made = Scene()
    made.add_client("cl_1")
    return made


def judge(scene: Scene, text: str, resource: str | None, *resources: Resource) -> Identity:
    """Judge a token behind a proxy, among these resources."""

    async def run() -> Identity:
        catalog = ResourceCatalog(store=Resources(*resources))
        await catalog.load()
        return await ForwardedTokenCheck(standing=scene.standing, resources=catalog)(text, resource)

    return asyncio.run(run())


def the_api(**changes: object) -> Resource:
    """Return the API, whose `write` includes `read`, some members changed."""
    scopes = (ResourceScope(name="write", includes=("read",)), ResourceScope(name="read"))
    return replace(resource_served_by(), **{"scopes": scopes, **changes})  # type: ignore[arg-type]


def test_identity(scene: Scene) -> None:
    """All that the token says, its scopes as granted and with what they include; what is known is up to date."""
    text = scene.issue("cl_1", scope="write", subject="sub", claims={"user_id": "u"})
    assert judge(scene, text, None, the_api()) == Identity(
        client_id="cl_1",
        subject="sub",
        workspace_id="default",
        scope="write",
        scopes=frozenset({"read", "write"}),
        claims={"user_id": "u"},
    )


def test_an_audience_that_is_not_registered(scene: Scene) -> None:
    """RS-02: a proxy may protect what is no resource here; then scopes include nothing but themselves."""
    text = scene.issue("cl_1", scope="write", audience=(OTHER_API,))
    assert judge(scene, text, OTHER_API, the_api()).scopes == {"write"}
    with pytest.raises(InvalidToken):
        judge(scene, text, None, the_api())


def test_the_only_resource_is_that_of_the_workspace(scene: Scene) -> None:
    """Resources of other workspaces, and built-in ones, are not counted and not meant."""
    text = scene.issue("cl_1")
    foreign = the_api(resource_id="res_2", workspace_id="other", identifier=OTHER_API)
    built_in = the_api(resource_id="res_3", identifier="urn:x", built_in=True)
    assert judge(scene, text, None, foreign, the_api(), built_in).client_id == "cl_1"
    for resources in ((), (foreign, built_in), (the_api(), the_api(resource_id="res_4", identifier=OTHER_API))):
        with pytest.raises(AccessDenied, match=r"say \?resource="):
            judge(scene, text, None, *resources)
    with pytest.raises(AccessDenied):
        judge(scene, scene.issue("cl_1", audience=("urn:x",)), "urn:x", built_in)


def test_int_16_nothing_is_looked_up_for_a_stranger(scene: Scene) -> None:
    """INT-16: neither a forgery nor a token for another audience leads to a question about its jti."""
    for text in ("forged", scene.issue("cl_1", audience=(OTHER_API,))):
        with pytest.raises(InvalidToken):
            judge(scene, text, API, the_api())
    assert scene.asked == []


def test_a_client_of_another_workspace(scene: Scene) -> None:
    """Whoever may write tokens for one workspace names no client of another one."""
    scene.add_client("cl_2", workspace_id="other")
    with pytest.raises(InvalidToken):
        judge(scene, scene.issue("cl_2"), API, the_api())


@pytest.mark.parametrize("scope", ['a"b', "a  b", "a\r\nb", "é", "a" * 5000])
def test_rs_03_scopes_that_are_none(scene: Scene, scope: str) -> None:
    """RS-03: a scope that RFC 6749 §3.3 has not, however well signed, is a bad token."""
    with pytest.raises(InvalidToken):
        judge(scene, scene.issue("cl_1", scope=scope), API, the_api())


@pytest.mark.parametrize("revoked", [False, True])
def test_int_10_old_knowledge(scene: Scene, revoked: bool) -> None:  # noqa: FBT001
    """INT-10: past the grace no token is let in, nor is it called bad."""
    text = scene.issue("cl_1")
    if revoked:
        scene.revoked.add(text)
    scene.age_seconds = GRACE_SECONDS + 1
    with pytest.raises(TemporarilyUnavailable):
        judge(scene, text, API, the_api())
