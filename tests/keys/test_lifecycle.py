"""The life of a key: properties of any sequence of events, then the decisions one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authserver.core.errors import NotFound
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState, SigningKey
from authserver.keys.lifecycle import (
    KeyBirth,
    KeyChange,
    KeyGroup,
    Policy,
    first_pair,
    plan_revocation,
    plan_rotation,
    plan_tick,
)
from tests.keys.deployment import START, only

POLICY = Policy(publish_lead_seconds=600, rotate_every_seconds=5_000, longest_token_seconds=3_600, leeway_seconds=60)
GROUP = KeyGroup.of("default", SigningAlg.ES256, None)
LIFE = POLICY.longest_token_seconds + POLICY.leeway_seconds


@dataclass
class World:
    """Keys, a clock, and what verifiers could have seen: each JWKS with the time at which it was replaced."""

    group: KeyGroup = GROUP
    now: int = START
    keys: dict[str, SigningKey] = field(default_factory=dict)
    replaced: list[tuple[int, frozenset[str]]] = field(default_factory=list)
    last_signed: dict[str, int] = field(default_factory=dict)
    made: int = 0

    def apply(self, change: KeyChange | None, *, urgent: bool = False) -> None:
        """Store a change and check what must hold for every change."""
        if change is None:
            return
        before, signed_by = self.published(), self.active()
        for old, new in zip(change.before, change.after, strict=True):
            assert self.keys[old.kid] == old
            assert old.kid == new.kid
            self.keys[new.kid] = new
        for birth in change.births:
            key = self.born(birth)
            self.keys[key.kid] = key
        self.check(signed_by, urgent=urgent)
        if before and before != self.published():
            self.replaced.append((self.now, before))

    def check(self, signed_by: str | None, *, urgent: bool) -> None:
        """One active and one next key; known before use; published until the last token has expired."""
        active = only(list(self.keys.values()), KeyState.ACTIVE)
        only(list(self.keys.values()), KeyState.NEXT)
        if signed_by is not None and signed_by != active.kid:
            self.last_signed[signed_by] = self.now
            cached = [kids for until, kids in self.replaced if until > self.now - POLICY.publish_lead_seconds]
            assert urgent or all(active.kid in kids for kids in cached)
        for kid in set(self.keys) - self.published():
            key = self.keys[kid]
            assert key.sealed_private == b""
            assert key.revoked_at is not None or self.now >= self.last_signed[kid] + LIFE

    def born(self, birth: KeyBirth) -> SigningKey:
        """Make a key without cryptography."""
        self.made += 1
        return SigningKey(
            kid=f"k{self.made}",
            workspace_id=birth.group.workspace_id,
            resource_id=birth.group.resource_id,
            alg=birth.group.alg,
            state=birth.state,
            sealed_private=b"sealed",
            published_at=birth.published_at,
            activated_at=birth.activated_at,
            activate_at=birth.activate_at,
        )

    def published(self) -> frozenset[str]:
        """Return the kids of the present JWKS."""
        return frozenset(kid for kid, key in self.keys.items() if key.state is not KeyState.GONE)

    def active(self) -> str | None:
        """Return the kid that signs."""
        return next((kid for kid, key in self.keys.items() if key.state is KeyState.ACTIVE), None)

    def in_state(self, state: KeyState) -> SigningKey:
        """Return the one key in a state."""
        return only(list(self.keys.values()), state)

    def rotate(self, *, force: bool = False) -> KeyChange | None:
        """Rotate now."""
        change = plan_rotation(list(self.keys.values()), self.now, POLICY, force=force)
        self.apply(change, urgent=force)
        return change

    def tick(self, seconds: int = 0) -> KeyChange | None:
        """Let time pass and tick."""
        self.now += seconds
        change = plan_tick(list(self.keys.values()), self.now, POLICY)
        self.apply(change)
        return change

    def revoke(self, kid: str) -> None:
        """Revoke one key."""
        self.apply(plan_revocation(list(self.keys.values()), kid, self.now), urgent=True)


def born_world(group: KeyGroup = GROUP) -> World:
    """Return a world with its first pair."""
    world = World(group=group)
    world.apply(first_pair(group, world.now))
    return world


Event = tuple[str, int]
EVENTS: st.SearchStrategy[Sequence[Event]] = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 599, 600, 601, 3_000, 3_659, 3_660, 5_000, 20_000])),
        st.tuples(st.sampled_from(["rotate", "force", "tick"]), st.just(0)),
        st.tuples(st.just("revoke"), st.integers(0, 20)),
    ),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(events=EVENTS)
def test_any_sequence_of_events(events: Sequence[Event]) -> None:
    """CRASH-02, ROT-02, ROT-03: always one active and one next key, known before use, kept until the last token."""
    world = born_world()
    for event, number in events:
        match event:
            case "wait":
                world.now += number
            case "rotate" | "force":
                world.rotate(force=event == "force")
            case "tick":
                world.tick()
            case _:
                world.revoke(list(world.keys)[number % len(world.keys)])


def test_rot_02_a_key_made_in_the_same_second_is_not_born_together() -> None:
    """ROT-02: two rotations in the second of the first start let only the twin of the first key sign."""
    world = born_world()
    world.rotate()
    world.rotate()
    assert world.active() == "k2"


def test_rot_02_a_rotation_too_early_is_scheduled() -> None:
    """ROT-02: a second rotation waits until the new next key has been published for ten minutes, then happens."""
    world = born_world()
    world.rotate()
    world.rotate()
    due = world.in_state(KeyState.NEXT).activate_at
    assert due is not None
    assert due >= START + 600
    assert world.rotate() is None
    world.tick(due - START - 1)
    assert world.active() == "k2"
    world.tick(1)
    assert world.active() == "k3"


def test_rot_03_a_retired_key_goes_when_its_last_token_has_expired() -> None:
    """ROT-03: a key is published until the longest token and the leeway have passed, then its private part goes."""
    world = born_world()
    world.rotate()
    world.tick(LIFE - 1)
    assert world.in_state(KeyState.RETIRING).kid == "k1"
    world.tick(1)
    assert world.keys["k1"].state is KeyState.GONE
    assert world.keys["k1"].sealed_private == b""


def test_a_key_is_rotated_when_it_is_old() -> None:
    """The schedule rotates a key at its age, once."""
    world = born_world()
    world.tick(POLICY.rotate_every_seconds - 1)
    assert world.active() == "k1"
    world.tick(1)
    assert world.active() == "k2"
    assert world.tick() is None


def test_an_hs256_key_is_never_rotated_for_its_age() -> None:
    """The services of an HS256 resource must be given the next secret first: only a command rotates it."""
    world = born_world(KeyGroup.of("default", SigningAlg.HS256, "res_1"))
    assert world.tick(100 * POLICY.rotate_every_seconds) is None
    world.rotate()
    assert world.active() == "k2"


@pytest.mark.parametrize("state", [KeyState.ACTIVE, KeyState.NEXT, KeyState.RETIRING])
def test_rot_04_a_revoked_key_is_gone_at_once(state: KeyState) -> None:
    """ROT-04: a key revoked in any state is out of the JWKS, its private part dropped, and a repeat changes nothing."""
    world = born_world()
    world.rotate()
    kid = world.in_state(state).kid
    world.revoke(kid)
    assert world.keys[kid].revoked_at == world.now
    assert kid not in world.published()
    assert plan_revocation(list(world.keys.values()), kid, world.now) is None


def test_unknown_keys() -> None:
    """A rotation of nothing and a revocation of an unknown kid are told so."""
    with pytest.raises(NotFound):
        plan_rotation([], START, POLICY, force=False)
    with pytest.raises(NotFound):
        plan_revocation(list(born_world().keys.values()), "other", START)


@pytest.mark.parametrize("force", [True, False])
def test_a_resource_stored_with_one_key_gets_its_next(*, force: bool) -> None:
    """An HS256 resource begins with one key; the tick, or a rotation, gives it the next one in advance."""
    world = born_world(KeyGroup.of("default", SigningAlg.HS256, "res_1"))
    del world.keys["k2"]
    alone = list(world.keys.values())
    tick = plan_tick(alone, START, POLICY)
    assert tick is not None
    assert [birth.state for birth in tick.births] == [KeyState.NEXT]
    world.apply(plan_rotation(alone, START, POLICY, force=force), urgent=force)
    assert (world.active() == "k1") is not force
    world.tick(601)
    assert world.active() != "k1"


def test_a_group_without_an_active_key_is_mended() -> None:
    """A store restored by hand without its active key is given one: the next key takes over."""
    world = born_world()
    orphan = [replace(key, state=KeyState.NEXT) for key in world.keys.values() if key.state is KeyState.NEXT]
    change = plan_tick(orphan, START, POLICY)
    assert change is not None
    assert [key.state for key in change.after] == [KeyState.ACTIVE]
