"""Whether a token holds: time, revocation and client, or that it cannot be known."""

from __future__ import annotations

import asyncio

import pytest

from authserver.core.client import Client, ClientStatus
from authserver.core.errors import InvalidToken, TemporarilyUnavailable
from authserver.core.identifiers import ADMIN_RESOURCE
from authserver.tokens.standing import AdminTokenCheck
from tests.tokens.scene import API, GRACE_SECONDS, NOW, NOW_MS, Scene


def judge(scene: Scene, text: str) -> str:
    """Return the id of the client behind a good token; raise for any other."""

    async def judged() -> Client:
        return await scene.standing.require_good(await scene.standing.read(text))

    return asyncio.run(judged()).client_id


@pytest.fixture
def scene() -> Scene:
    """Return a world with one client."""
    made = Scene()
    made.add_client("cl_1")
    return made


def test_a_good_token(scene: Scene) -> None:
    """INT-12: a token in its time, of an active client, not revoked, is good."""
    assert judge(scene, scene.issue("cl_1")) == "cl_1"


@pytest.mark.parametrize(
    ("offset_seconds", "good"),
    [(-61, False), (-60, True), (-30, True), (0, True), (3599, True), (3600, False), (10**9, False)],
)
def test_the_boundaries_of_time(scene: Scene, offset_seconds: int, good: bool) -> None:  # noqa: FBT001
    """CLK-02, CLK-03: good from a leeway before `nbf`, for instances that are behind, until `exp`, itself excluded."""
    text = scene.issue("cl_1")
    scene.now_ms = NOW_MS + offset_seconds * 1000
    if good:
        assert judge(scene, text) == "cl_1"
    else:
        with pytest.raises(InvalidToken):
            judge(scene, text)


@pytest.mark.parametrize("expires_at", [2**31 - 1, 2**31, 2**32, 253_402_300_799, 2**53 - 1])
def test_far_years(scene: Scene, expires_at: int) -> None:
    """CLK-03: the years 2038, 2106 and 9999 overflow nothing."""
    assert judge(scene, scene.issue("cl_1", expires_at=expires_at)) == "cl_1"


def test_revoked(scene: Scene) -> None:
    """REV-07: a revoked token is refused."""
    text = scene.issue("cl_1")
    scene.revoked.add(scene.tokens[text].jti)
    with pytest.raises(InvalidToken):
        judge(scene, text)


@pytest.mark.parametrize("revoked", [False, True])
def test_old_knowledge_answers_nothing(scene: Scene, revoked: bool) -> None:  # noqa: FBT001
    """INT-10: past the grace no token is good, nor is it called bad: TemporarilyUnavailable."""
    text = scene.issue("cl_1")
    if revoked:
        scene.revoked.add(scene.tokens[text].jti)
    assert revoked or judge(scene, text) == "cl_1"
    scene.age_seconds = GRACE_SECONDS + 1
    with pytest.raises(TemporarilyUnavailable):
        judge(scene, text)


def test_an_expired_token_needs_no_knowledge(scene: Scene) -> None:
    """INT-10: what has expired is refused even then: nothing could make it good."""
    text = scene.issue("cl_1", expires_at=NOW)
    scene.age_seconds = GRACE_SECONDS + 1
    with pytest.raises(InvalidToken):
        judge(scene, text)


def test_a_client_that_cannot_be_read(scene: Scene) -> None:
    """AUTH-25, INT-10: a failing look-up of the client is TemporarilyUnavailable, never an inactive token."""
    text = scene.issue("cl_1")
    scene.store_away = True
    with pytest.raises(TemporarilyUnavailable):
        judge(scene, text)
    scene.store_away = False
    assert judge(scene, text) == "cl_1"
    scene.store_away = True  # from memory now, within the grace
    assert judge(scene, text) == "cl_1"


def test_disabled_and_deleted_clients(scene: Scene) -> None:
    """INT-12: a token of a disabled client is refused, and of one that is gone."""
    text = scene.issue("cl_1")
    assert judge(scene, text) == "cl_1"
    scene.change_client("cl_1", status=ClientStatus.DISABLED)
    with pytest.raises(InvalidToken):
        judge(scene, text)
    del scene.clients["cl_1"]
    scene.directory.forget("cl_1")
    with pytest.raises(InvalidToken):
        judge(scene, text)


@pytest.mark.parametrize("audience", [(API,), (ADMIN_RESOURCE, API), (API, ADMIN_RESOURCE)])
def test_the_management_api_takes_its_own_audience_alone(scene: Scene, audience: tuple[str, ...]) -> None:
    """INT-14: a token for another audience, or for others as well, opens no management API."""
    check = AdminTokenCheck(standing=scene.standing)
    with pytest.raises(InvalidToken):
        asyncio.run(check(scene.issue("cl_1", audience=audience)))
    scopes, client = asyncio.run(check(scene.issue("cl_1", audience=(ADMIN_RESOURCE,), scope="keys:read status:read")))
    assert (scopes, client.client_id) == (frozenset({"keys:read", "status:read"}), "cl_1")


def test_a_token_whose_key_another_instance_has_made(scene: Scene) -> None:
    """The database is asked once; while it does not answer, nobody can tell whether the token is one of ours."""
    text = scene.issue("cl_1")
    scene.elsewhere[text] = scene.tokens.pop(text)
    scene.store_away = True
    with pytest.raises(TemporarilyUnavailable):
        judge(scene, text)
    scene.store_away = False
    assert judge(scene, text) == "cl_1"
    assert scene.looks == 2


def test_what_nobody_has_made_is_not_asked_for(scene: Scene) -> None:
    """A signature that is wrong says enough."""
    with pytest.raises(InvalidToken):
        judge(scene, "forged")
    assert scene.looks == 0
