"""Introspection and revocation where black-box tests cannot reach: workspaces, and what is not asked."""

from __future__ import annotations

import asyncio

import pytest

from authserver.audit.events import AuditEvent
from authserver.core.credentials import Credentials
from authserver.core.errors import InvalidClient, InvalidGrant, TemporarilyUnavailable, TooManyRequests
from authserver.tokens.introspect import Introspection
from tests.tokens.scene import GRACE_SECONDS, NOW, Scene, resource_served_by


def introspect(scene: Scene, caller: Credentials, text: str) -> Introspection:
    """Introspect once."""
    return asyncio.run(scene.introspector().introspect(caller, text))


def revoke(scene: Scene, caller: Credentials, text: str) -> str:
    """Revoke once."""
    return asyncio.run(scene.revoker().revoke(caller, text))


def test_int_16_no_look_up_for_a_forgery() -> None:
    """INT-16: what we have not signed leads to no question about its jti."""
    scene = Scene()
    caller = scene.add_client("cl_1")
    assert introspect(scene, caller, "forged").claims is None
    assert scene.asked == []


def test_int_03_no_look_up_for_a_stranger() -> None:
    """INT-03: a caller who may not see the token learns nothing from what is looked up for it, or how long it takes."""
    scene = Scene()
    scene.add_client("cl_1")
    stranger = scene.add_client("cl_2")
    assert introspect(scene, stranger, scene.issue("cl_1")).claims is None
    assert scene.asked == []
    assert len(scene.named(AuditEvent.INTROSPECTION_DENIED)) == 1


@pytest.mark.parametrize(("workspace_id", "sees"), [("default", True), ("other", False)])
def test_int_03_workspaces_are_apart(workspace_id: str, sees: bool) -> None:  # noqa: FBT001
    """INT-03: a resource server sees tokens of its own workspace only, whatever an identifier is called elsewhere."""
    scene = Scene()
    scene.add_client("cl_1")
    server = scene.add_client("cl_rs", workspace_id)
    scene.resources = {"https://api.example.com": resource_served_by("cl_rs")}
    assert (introspect(scene, server, scene.issue("cl_1")).claims is not None) is sees


def test_int_03_the_resource_of_another_workspace() -> None:
    """INT-03: an appointment in another workspace under the same identifier gives no sight."""
    scene = Scene()
    scene.add_client("cl_1")
    server = scene.add_client("cl_rs")
    scene.resources = {"https://api.example.com": resource_served_by("cl_rs", workspace_id="other")}
    assert introspect(scene, server, scene.issue("cl_1")).claims is None


def test_int_10_old_knowledge() -> None:
    """INT-10: past the grace the introspector raises for good and revoked tokens alike."""
    scene = Scene()
    caller = scene.add_client("cl_1")
    text = scene.issue("cl_1")
    assert introspect(scene, caller, text).claims == {"client_id": "cl_1"}
    scene.age_seconds = GRACE_SECONDS + 1
    with pytest.raises(TemporarilyUnavailable):
        introspect(scene, caller, text)


def test_int_09_authentication_comes_first() -> None:
    """INT-09: only an authenticated caller spends its budget, so nobody can spend another's."""
    scene = Scene()
    caller = scene.add_client("cl_1")
    liar = Credentials(caller.method, caller.client_id, "wrong")
    introspector = scene.introspector()

    async def run() -> None:
        for _ in range(10):
            with pytest.raises(InvalidClient):
                await introspector.introspect(liar, "guess")
        for _ in range(3):
            assert (await introspector.introspect(caller, "guess")).claims is None
        with pytest.raises(TooManyRequests):
            await introspector.introspect(caller, "guess")

    asyncio.run(run())


def test_rev_02_denied_and_audited() -> None:
    """REV-02: another client's token is invalid_grant, nothing changes, and the audit names both."""
    scene = Scene()
    scene.add_client("cl_1")
    stranger, text = scene.add_client("cl_2"), scene.issue("cl_1")
    with pytest.raises(InvalidGrant):
        revoke(scene, stranger, text)
    assert scene.revoked == set()
    assert scene.named(AuditEvent.TOKEN_REVOCATION_DENIED) == [
        {"client_id": "cl_2", "owner": "cl_1", "jti": scene.tokens[text].jti}
    ]


def test_rev_03_expired() -> None:
    """REV-03: an expired token needs no entry, to the second."""
    scene = Scene()
    caller = scene.add_client("cl_1")
    assert revoke(scene, caller, scene.issue("cl_1", expires_at=NOW)) == "cl_1"
    assert scene.revoked == set()
    assert revoke(scene, caller, scene.issue("cl_1", expires_at=NOW + 1)) == "cl_1"
    assert len(scene.revoked) == 1


def test_rev_04_one_event() -> None:
    """REV-04: the second time nothing is stored and nothing is audited, yet all instances are told again."""
    scene = Scene()
    caller, text = scene.add_client("cl_1"), scene.issue("cl_1")
    for _ in range(2):
        revoke(scene, caller, text)
    assert len(scene.named(AuditEvent.TOKEN_REVOKED)) == 1
    assert scene.confirmed == 1


def test_rev_06_the_store_is_away() -> None:
    """REV-06: what cannot be stored raises; no event says that it was done; the retry does it."""
    scene = Scene()
    caller, text = scene.add_client("cl_1"), scene.issue("cl_1")
    assert introspect(scene, caller, text).claims is not None
    revoker = scene.revoker()

    async def run() -> None:
        await revoker.revoke(caller, "unknown")  # the secret is remembered from here on
        scene.store_away = True
        with pytest.raises(TemporarilyUnavailable):
            await revoker.revoke(caller, text)
        assert scene.named(AuditEvent.TOKEN_REVOKED) == []
        scene.store_away = False
        await revoker.revoke(caller, text)

    asyncio.run(run())
    assert len(scene.named(AuditEvent.TOKEN_REVOKED)) == 1
