"""The catalog of the templates in force."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from authserver.claims.catalog import TemplateCatalog
from authserver.core.claims_template import StoredTemplate
from authserver.core.errors import InvalidRequest, TemporarilyUnavailable
from tests.claims.contexts import SEED, context


class _Templates:
    """The current templates, as a store would return them."""

    def __init__(self, *templates: StoredTemplate) -> None:
        self.templates: Sequence[StoredTemplate] = templates
        self.down = False
        self.turns = 1  # of the event loop, until the next answer

    async def current(self) -> Sequence[StoredTemplate]:
        templates, turns, self.turns = self.templates, self.turns, 1
        for _ in range(turns):
            await asyncio.sleep(0)
        if self.down:
            raise TemporarilyUnavailable("down")
        return templates

    async def history(self, workspace_id: str, resource_id: str | None) -> Sequence[StoredTemplate]:
        return [t for t in self.templates if (t.workspace_id, t.resource_id) == (workspace_id, resource_id)]

    async def save(self, template: StoredTemplate) -> None:
        self.templates = [*self.templates, template]


def _stored(
    source: str, resource_id: str | None = None, *, workspace_id: str = "w", version: int = 1
) -> StoredTemplate:
    return StoredTemplate(
        workspace_id=workspace_id, resource_id=resource_id, version=version, source=source, created_at=1
    )


def _loaded(*templates: StoredTemplate) -> TemplateCatalog:
    catalog = TemplateCatalog(store=_Templates(*templates))
    asyncio.run(catalog.load())
    return catalog


def _claims(catalog: TemplateCatalog, workspace_id: str, resource_id: str | None) -> object:
    template = catalog.for_token(workspace_id, resource_id)
    return template and template.render(context({"stytch_user_id": "u1"}))


def test_a_resources_template_overrides_the_workspaces() -> None:
    """The most specific template counts, alone; another workspace's never does."""
    catalog = _loaded(_stored(SEED), _stored('{"r": 1}', "r1"), _stored('{"other": 1}', workspace_id="w2"))
    assert _claims(catalog, "w", None) == {"user_id": "u1"}
    assert _claims(catalog, "w", "r1") == {"r": 1}
    assert _claims(catalog, "w", "r2") == {"user_id": "u1"}
    assert _claims(catalog, "w2", "r1") == {"other": 1}
    assert _claims(catalog, "w3", None) is None


def test_the_source_is_that_of_exactly_one_place() -> None:
    """A resource without a template of its own has no source, whatever its workspace has."""
    catalog = _loaded(_stored(SEED))
    assert catalog.source_of("w", None) == _stored(SEED)
    assert catalog.source_of("w", "r1") is None


@pytest.mark.parametrize("source", ['{"sub": "root"}', '{"exp": 1}', "{", ""])
def test_a_broken_template_refuses_its_tokens(source: str) -> None:
    """CLM-02: a template changed behind the server's back raises an alarm and gives no token, others go on."""
    with capture_logs() as logs:
        catalog = _loaded(_stored(SEED), _stored(source, "r1"))
    with pytest.raises(InvalidRequest, match="resource r1"):
        catalog.for_token("w", "r1")
    assert _claims(catalog, "w", None) == {"user_id": "u1"}
    assert [(log["event"], log["resource_id"]) for log in logs] == [("claims_template_broken", "r1")]


def test_a_load_takes_up_changes_and_keeps_the_rest() -> None:
    """CLM-12: a new version is compiled anew and judged anew; an unchanged one is not compiled twice."""
    store = _Templates(_stored(SEED), _stored('{"a": 1}', "r1"), _stored('{"b": 1}', "r2"))
    catalog = TemplateCatalog(store=store)
    asyncio.run(catalog.load())
    before = catalog.for_token("w", None)
    store.templates = [_stored(SEED), _stored('{"iss": 1}', "r1", version=2)]
    asyncio.run(catalog.load())
    assert catalog.for_token("w", None) is before
    assert catalog.for_token("w", "r2") is before
    with pytest.raises(InvalidRequest, match="version 2"):
        catalog.for_token("w", "r1")


def test_a_failed_load_keeps_what_is_known() -> None:
    """With the store away the templates in memory stay in force."""
    store = _Templates(_stored(SEED))
    catalog = TemplateCatalog(store=store)
    asyncio.run(catalog.load())
    store.down = True
    with pytest.raises(TemporarilyUnavailable):
        asyncio.run(catalog.load())
    assert _claims(catalog, "w", None) == {"user_id": "u1"}


def test_nothing_is_answered_before_the_first_load() -> None:
    """An empty memory is no knowledge: no token without its claims."""
    with pytest.raises(TemporarilyUnavailable):
        TemplateCatalog(store=_Templates()).for_token("w", None)


def test_the_newest_of_several_loads_wins() -> None:
    """A load that starts later reads later: an old answer never replaces a new one."""

    async def change_between_loads() -> object:
        store = _Templates(_stored('{"v": 1}'))
        store.turns = 10
        catalog = TemplateCatalog(store=store)
        first = asyncio.create_task(catalog.load())
        await asyncio.sleep(0)
        store.templates = [_stored('{"v": 2}', version=2)]
        await asyncio.gather(first, catalog.load())
        return _claims(catalog, "w", None)

    assert asyncio.run(change_between_loads()) == {"v": 2}
