"""Signing keys and the one step that changes them (RFC 7517)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, or_, select, update

from authserver.core.clock import Clock
from authserver.core.errors import Conflict
from authserver.core.ports import ChangeKind
from authserver.core.resource import SigningAlg
from authserver.core.signing_key import KeyState, SigningKey
from authserver.storage.change_log import note_change
from authserver.storage.connections import Connections, retried
from authserver.storage.tables import owner_of, signing_keys

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

_LOST = "The signing keys were changed by somebody else in between."

#: A key leaves a state before another one enters it, so that one active and one next key never become two.
_ORDER = {KeyState.GONE: 0, KeyState.RETIRING: 1, KeyState.ACTIVE: 2, KeyState.NEXT: 3}


class SqlSigningKeyStore:
    """`core.ports.SigningKeyStore` on SQL."""

    def __init__(self, *, connections: Connections, clock: Clock) -> None:
        """Read and write through `connections`; `clock` dates the change log."""
        self._connections = connections
        self._clock = clock

    async def all(self) -> Sequence[SigningKey]:
        """Return every key that is not GONE, and those gone keys that were revoked; oldest first."""
        table = signing_keys.c
        worth_knowing = or_(table.state != KeyState.GONE.value, table.revoked_at.is_not(None))
        statement = select(signing_keys).where(worth_knowing).order_by(table.published_at, table.kid)
        async with self._connections.reading() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [_from_row(row) for row in rows]

    @retried
    async def change(self, *, before: Sequence[SigningKey], after: Sequence[SigningKey]) -> None:
        """Replace the keys `before` by `after` (same kids updated, new kids added) in one step.

        A key of `before` that has no successor in `after` stays as it is. Raises Conflict when a key of `before`
        is no longer in the state given, or when the place of a new next or active key is taken.
        """
        known = {key.kid for key in before}
        async with self._connections.writing(taken=_LOST) as connection:
            await _require_unchanged(connection, before)
            for key in sorted(after, key=lambda each: _ORDER[each.state]):
                await _store(connection, key, is_new=key.kid not in known)
                await note_change(connection, ChangeKind.SIGNING_KEY, key.kid, now_ms=self._clock())


async def supersede_keys(connection: AsyncConnection, key: SigningKey, *, now_ms: int) -> None:
    """Store a resource's new HS256 key; earlier ones of the resource are gone and no longer believed."""
    earlier = (signing_keys.c.resource_id == key.resource_id) & (signing_keys.c.state != KeyState.GONE.value)
    for kid in (await connection.scalars(select(signing_keys.c.kid).where(earlier))).all():
        gone = update(signing_keys).where(signing_keys.c.kid == kid).values(state=KeyState.GONE.value, place=None)
        await connection.execute(gone)
        await note_change(connection, ChangeKind.SIGNING_KEY, kid, now_ms=now_ms)
    await _store(connection, key, is_new=True)
    await note_change(connection, ChangeKind.SIGNING_KEY, key.kid, now_ms=now_ms)


async def _require_unchanged(connection: AsyncConnection, before: Sequence[SigningKey]) -> None:
    statement = select(signing_keys).where(signing_keys.c.kid.in_([key.kid for key in before]))
    rows = (await connection.execute(statement)).mappings().all() if before else ()
    stored = {row["kid"]: _standing(_from_row(row)) for row in rows}
    if any(stored.get(key.kid) != _standing(key) for key in before):
        raise Conflict(_LOST)


def _standing(key: SigningKey) -> tuple[object, ...]:
    """Return all that a rotation may change: two changes of one key never overwrite each other."""
    return key.state, key.activated_at, key.activate_at, key.retire_until, key.revoked_at


async def _store(connection: AsyncConnection, key: SigningKey, *, is_new: bool) -> None:
    row = _to_row(key)
    if is_new:
        await connection.execute(insert(signing_keys).values(row))
    else:
        await connection.execute(update(signing_keys).where(signing_keys.c.kid == key.kid).values(row))


def _place_of(key: SigningKey) -> str | None:
    """Return what only one key can hold: one active and one next key an owner and algorithm."""
    if key.state not in {KeyState.NEXT, KeyState.ACTIVE}:
        return None
    return f"{owner_of(key.workspace_id, key.resource_id)}/{key.alg.value}/{key.state.value}"


def _from_row(row: RowMapping) -> SigningKey:
    return SigningKey(
        kid=row["kid"],
        workspace_id=row["workspace_id"],
        resource_id=row["resource_id"],
        alg=SigningAlg(row["alg"]),
        state=KeyState(row["state"]),
        public_jwk=row["public_jwk"],
        sealed_private=row["sealed_private"],
        published_at=row["published_at"],
        activated_at=row["activated_at"],
        activate_at=row["activate_at"],
        retire_until=row["retire_until"],
        revoked_at=row["revoked_at"],
    )


def _to_row(key: SigningKey) -> Mapping[str, Any]:
    return {
        "kid": key.kid,
        "place": _place_of(key),
        "workspace_id": key.workspace_id,
        "resource_id": key.resource_id,
        "alg": key.alg.value,
        "state": key.state.value,
        "public_jwk": None if key.public_jwk is None else dict(key.public_jwk),
        "sealed_private": key.sealed_private,
        "published_at": key.published_at,
        "activated_at": key.activated_at,
        "activate_at": key.activate_at,
        "retire_until": key.retire_until,
        "revoked_at": key.revoked_at,
    }
