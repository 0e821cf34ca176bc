"""The templates in force, compiled and held in memory: a token request looks one up and never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from authserver.claims.errors import InvalidTemplate
from authserver.claims.template import ClaimsTemplate, compile_template
from authserver.core.claims_template import StoredTemplate
from authserver.core.errors import InvalidRequest, TemporarilyUnavailable
from authserver.core.ports import TemplateStore

_log: Final = structlog.get_logger()

_Place = tuple[str, str | None]  # workspace_id, resource_id


@dataclass(frozen=True, slots=True)
class _Entry:
    """A stored template; `compiled` is None when it is broken."""

    stored: StoredTemplate
    compiled: ClaimsTemplate | None


class TemplateCatalog:
    """Every current template by workspace and resource. `load` replaces the whole of it in one step."""

    def __init__(self, *, store: TemplateStore) -> None:
        """Hold nothing until `load` is called."""
        self._store = store
        self._entries: Mapping[_Place, _Entry] | None = None
        self._loading = asyncio.Lock()

    async def load(self) -> None:
        """Read all current templates and compile the changed ones; raise TemporarilyUnavailable.

        One load at a time: an older answer of the store never replaces a newer one.
        """
        async with self._loading:
            known = self._entries or {}
            entries = {}
            for stored in await self._store.current():
                place = stored.workspace_id, stored.resource_id
                entries[place] = _unchanged(stored, known.get(place)) or _compiled(stored)
            self._entries = entries

    def for_token(self, workspace_id: str, resource_id: str | None) -> ClaimsTemplate | None:
        """Return the template of the resource, else of the workspace, else None: no claims are added.

        Raises InvalidRequest when that template is broken (no token rather than one without its claims),
        TemporarilyUnavailable before the first load.
        """
        entry = self._entry(workspace_id, resource_id) or self._entry(workspace_id, None)
        if entry is None:
            return None
        if entry.compiled is None:
            stored = entry.stored
            place = f"workspace {stored.workspace_id}, resource {stored.resource_id}"
            raise InvalidRequest(f"the stored claims template of {place} (version {stored.version}) does not compile")
        return entry.compiled

    def source_of(self, workspace_id: str, resource_id: str | None) -> StoredTemplate | None:
        """Return the current template of exactly this place, broken or not; raise TemporarilyUnavailable."""
        entry = self._entry(workspace_id, resource_id)
        return entry.stored if entry else None

    def _entry(self, workspace_id: str, resource_id: str | None) -> _Entry | None:
        if self._entries is None:
            raise TemporarilyUnavailable("the claims templates are not loaded yet")
        return self._entries.get((workspace_id, resource_id))


def _unchanged(stored: StoredTemplate, known: _Entry | None) -> _Entry | None:
    return known if known is not None and known.stored == stored else None


def _compiled(stored: StoredTemplate) -> _Entry:
    try:
        return _Entry(stored, compile_template(stored.source or ""))
    except InvalidTemplate as error:
        # Every template compiled when it was saved: this one was changed behind the server's back.
        _log.error(
            "claims_template_broken",
            workspace_id=stored.workspace_id,
            resource_id=stored.resource_id,
            version=stored.version,
            problem=error.detail,
        )
        return _Entry(stored, None)
