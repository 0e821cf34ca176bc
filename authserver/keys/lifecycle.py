"""The life of a signing key, decided without clock, randomness or I/O: next → active → retiring → gone.

A key is published before it signs, for as long as verifiers may hold an older JWKS, and stays published
after it has signed, until its last token has expired (RFC 7517 §5, OpenID Connect Core §10.1.1). Each
decision is a `KeyChange`: what is there, what replaces it, and which keys must be made. Making one is
slow, so it is done elsewhere; the store then applies all of it in one step, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from authserver.core.errors import NotFound
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState, SigningKey

_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long a key is published before use, how long it signs, and how long its tokens may live."""

    publish_lead_seconds: int = 600
    rotate_every_seconds: int = 90 * _DAY_SECONDS
    longest_token_seconds: int = _DAY_SECONDS
    leeway_seconds: int = 60


class KeyGroup(NamedTuple):
    """Whose keys these are: a workspace's for one algorithm, or one resource's for HS256."""

    workspace_id: str
    alg: SigningAlg
    resource_id: str | None

    @classmethod
    def of(cls, workspace_id: str, alg: SigningAlg, resource_id: str | None) -> KeyGroup:
        """Return the group that signs for a resource; only HS256 has a group for each."""
        return cls(workspace_id, alg, resource_id if alg is SigningAlg.HS256 else None)

    @classmethod
    def of_key(cls, key: SigningKey) -> KeyGroup:
        """Return the group of a key."""
        return cls(key.workspace_id, key.alg, key.resource_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBirth:
    """A key to be made, and the place that it takes. Times in seconds."""

    group: KeyGroup
    state: KeyState
    published_at: int
    activated_at: int | None = None
    activate_at: int | None = None


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One step: `before` becomes `after` (same kids, same order), and `births` are added."""

    before: tuple[SigningKey, ...] = ()
    after: tuple[SigningKey, ...] = ()
    births: tuple[KeyBirth, ...] = ()

    def __add__(self, other: KeyChange) -> KeyChange:
        return KeyChange(self.before + other.before, self.after + other.after, self.births + other.births)


def in_state(keys: Iterable[SigningKey], state: KeyState) -> SigningKey | None:
    """Return the key in this state, None when there is none; meant for ACTIVE and NEXT, of which there is one."""
    return next((key for key in keys if key.state is state), None)


def first_pair(group: KeyGroup, now: int) -> KeyChange:
    """Make an active key and its successor at once.

    Published by the same write, none is ever in a JWKS without the other: a verifier that knows the first
    knows the second, so the second may sign at any time.
    """
    return KeyChange(
        births=(
            KeyBirth(group=group, state=KeyState.ACTIVE, published_at=now, activated_at=now),
            KeyBirth(group=group, state=KeyState.NEXT, published_at=now),
        )
    )


def plan_rotation(keys: Sequence[SigningKey], now: int, policy: Policy, *, force: bool) -> KeyChange | None:
    """Let the next key of a group take over, or set the time for it; None when that time is set already.

    `force` does not wait until verifiers know the next key. Raises NotFound for a group without keys.
    """
    if not keys:
        raise NotFound("no signing keys of this kind")
    active, upcoming = in_state(keys, KeyState.ACTIVE), in_state(keys, KeyState.NEXT)
    if active is None or force or (upcoming and _is_known(upcoming, active, now, policy)):
        return _retire(active, now, policy) + _succeed(KeyGroup.of_key(keys[0]), upcoming, now)
    if upcoming is None:
        return KeyChange(births=(_next_after(active, now, activate_at=now + policy.publish_lead_seconds + 1),))
    due = upcoming.published_at + policy.publish_lead_seconds
    if upcoming.activate_at == due:
        return None
    return KeyChange((upcoming,), (replace(upcoming, activate_at=due),))


def plan_tick(keys: Sequence[SigningKey], now: int, policy: Policy) -> KeyChange | None:
    """Do what time has brought for one group: rotations that are due, keys whose last token has expired.

    Also gives a next key to a group without one, such as that of a new HS256 resource. An HS256 key is
    never rotated for its age: its services must be told the new one first, which only people can do.
    """
    change = _dispose(keys, now)
    active, upcoming = in_state(keys, KeyState.ACTIVE), in_state(keys, KeyState.NEXT)
    if active is None or _is_due(active, upcoming, now, policy):
        change += plan_rotation(keys, now, policy, force=False) or KeyChange()
    elif upcoming is None:
        change += KeyChange(births=(_next_after(active, now),))
    return None if change == KeyChange() else change


def plan_revocation(keys: Sequence[SigningKey], kid: str, now: int) -> KeyChange | None:
    """Withdraw a key at once, in an emergency; None when it is gone already. Raises NotFound.

    The next key takes over from an active one whether or not verifiers know it: a key in wrong hands is worse.
    """
    key = next((key for key in keys if key.kid == kid), None)
    if key is None:
        raise NotFound("no signing key has this kid")
    if key.state is KeyState.GONE:
        return None
    change = KeyChange((key,), (replace(_gone(key), revoked_at=now),))
    active = in_state(keys, KeyState.ACTIVE)
    if key.state is KeyState.ACTIVE:
        return change + _succeed(KeyGroup.of_key(key), in_state(keys, KeyState.NEXT), now)
    if key.state is KeyState.NEXT and active is not None:
        return change + KeyChange(births=(_next_after(active, now),))
    return change


def _is_known(upcoming: SigningKey, active: SigningKey, now: int, policy: Policy) -> bool:
    """Tell whether every verifier that knows the active key can know the next one."""
    born_together = upcoming.published_at == active.published_at
    return born_together or upcoming.published_at + policy.publish_lead_seconds <= now


def _is_due(active: SigningKey, upcoming: SigningKey | None, now: int, policy: Policy) -> bool:
    if upcoming is not None and upcoming.activate_at is not None and upcoming.activate_at <= now:
        return True
    started = active.published_at if active.activated_at is None else active.activated_at
    return active.alg is not SigningAlg.HS256 and started + policy.rotate_every_seconds <= now


def _retire(active: SigningKey | None, now: int, policy: Policy) -> KeyChange:
    if active is None:
        return KeyChange()
    until = now + policy.longest_token_seconds + policy.leeway_seconds
    return KeyChange((active,), (replace(active, state=KeyState.RETIRING, retire_until=until),))


def _succeed(group: KeyGroup, upcoming: SigningKey | None, now: int) -> KeyChange:
    """Activate the next key and make its successor; make both when there is no next key."""
    if upcoming is None:
        return first_pair(group, now)
    active = replace(upcoming, state=KeyState.ACTIVE, activated_at=now, activate_at=None)
    return KeyChange((upcoming,), (active,), (_next_after(active, now),))


def _next_after(active: SigningKey, now: int, *, activate_at: int | None = None) -> KeyBirth:
    # One publication time means "born together". A successor made later, if only in the same second,
    # was missing from a JWKS that somebody may hold: it counts from the following second.
    published_at = max(now, active.published_at + 1)
    group = KeyGroup.of_key(active)
    return KeyBirth(group=group, state=KeyState.NEXT, published_at=published_at, activate_at=activate_at)


def _dispose(keys: Sequence[SigningKey], now: int) -> KeyChange:
    expired = tuple(
        key
        for key in keys
        if key.state is KeyState.RETIRING and key.retire_until is not None and key.retire_until <= now
    )
    return KeyChange(expired, tuple(_gone(key) for key in expired))


def _gone(key: SigningKey) -> SigningKey:
    return replace(key, state=KeyState.GONE, sealed_private=b"", activate_at=None)
