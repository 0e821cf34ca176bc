"""All clients of a workspace, page by page."""

from __future__ import annotations

from collections.abc import Sequence

from authserver.administration.actor import Actor
from authserver.administration.verbs import Verbs
from authserver.core.client import Client

_PAGE = 500


async def all_clients(admin: Verbs, actor: Actor) -> Sequence[Client]:
    """Return them in the order of their ids."""
    page = await admin.clients.page(actor, after=None, limit=_PAGE)
    found = list(page.items)
    while page.next_after is not None:
        page = await admin.clients.page(actor, after=page.next_after, limit=_PAGE)
        found += page.items
    return found
