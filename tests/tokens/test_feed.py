"""What the revocation feed says of its own knowledge."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from authserver.core.errors import TemporarilyUnavailable
from authserver.core.revocation import BEGINNING
from authserver.tokens.feed import FeedPage
from tests.tokens.scene import API, GRACE_SECONDS, NOW_MS, Scene, resource_served_by


def read(scene: Scene, *, wait_seconds: int) -> FeedPage:
    """Read once, with nothing new to be told."""
    caller = scene.add_client("cl_1")
    scene.resources[API] = resource_served_by("cl_1")
    return asyncio.run(
        scene.feed().read(caller, after=BEGINNING, jwks="k", wait_seconds=wait_seconds, parked=contextlib.nullcontext())
    )


def test_an_answer_is_as_old_as_the_last_look_at_the_database() -> None:
    """P3: an instance whose database is away says from when its knowledge is, not that it is of now."""
    scene = Scene()
    scene.age_seconds = 3
    page = read(scene, wait_seconds=0)
    assert (page.as_of_ms, page.known_after_ms) == (NOW_MS - 3_000, -3_000)


def test_an_answer_that_waited_is_known_from_its_end() -> None:
    """After a wait of a second, with the database at hand, all is known until a second after the question."""
    page = read(Scene(), wait_seconds=1)
    assert page.as_of_ms == NOW_MS
    assert 900 <= page.known_after_ms <= 5_000


def test_past_the_grace_there_is_no_answer() -> None:
    """Nobody knows."""
    scene = Scene()
    scene.age_seconds = GRACE_SECONDS + 1
    with pytest.raises(TemporarilyUnavailable):
        read(scene, wait_seconds=0)
