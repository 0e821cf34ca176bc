"""Pages, cursors and query parameters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from authserver.admin.query import cursor
from tests.admin.surface import CLIENTS, KEYS, RESOURCES, REVOCATIONS, Surface, surface


def walk(api: Surface, path: str, limit: int) -> list[list[dict[str, object]]]:
    """Return all pages of a list."""
    pages, after = [], ""
    while True:
        page = api.call("GET", f"{path}?limit={limit}{after}").json()
        pages.append(page["items"])
        if page["next_after"] is None:
            return pages
        after = f"&after={page['next_after']}"


def test_pages_of_clients() -> None:
    """A list is walked page by page, each client once, in the order of the ids."""
    with surface() as api:
        for name in "cabed":
            api.new_client(client_id=name)
        pages = walk(api, CLIENTS, 2)
        assert [[client["client_id"] for client in page] for page in pages] == [["a", "b"], ["c", "d"], ["e"]]


def test_pages_of_resources_and_revocations() -> None:
    """The other lists are walked the same way."""
    with surface() as api:
        for number in range(3):
            api.call("POST", RESOURCES, {"identifier": f"urn:example:{number}"})
            api.call("POST", REVOCATIONS, {"kind": "subject", "value": f"s{number}"})
        assert [len(page) for page in walk(api, RESOURCES, 3)] == [3, 1]
        values = [entry["value"] for page in walk(api, REVOCATIONS, 2) for entry in page]
        assert values == ["s0", "s1", "s2"]


@pytest.fixture(scope="module")
def api() -> Iterator[Surface]:
    """Keep one API for tests that only read."""
    with surface() as opened:
        yield opened


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=0",
        "limit=201",
        "limit=1000000000",
        "limit=" + "9" * 3000,
        "limit=5.0",
        "limit=%2B5",
        "limit=%D9%A5",
        "limit=",
        "limit=1&limit=2",
        "after=x",
        "after=",
        "after=" + "A" * 1000,
        "after=%FF",
        "sort=secret_hash",
        "filter=%25",
        "filter=%",
        "client_id=x",
        "access_token=x",
        "x" * 5000,
        "&".join(f"a{number}=1" for number in range(40)),
    ],
    ids=lambda query: query[:24],
)
def test_bad_queries(api: Surface, query: str) -> None:
    """ADM-09: limits out of range, altered cursors and parameters that nobody knows are 422."""
    for path in (CLIENTS, RESOURCES, REVOCATIONS):
        assert api.call("GET", f"{path}?{query}").status_code == 422


def test_altered_cursor(api: Surface) -> None:
    """ADM-09: a cursor with one character changed, or more characters than it needs, is refused."""
    good = cursor("cl_abc") or ""
    assert api.call("GET", f"{CLIENTS}?after={good}").status_code == 200
    for bad in (good[:-1] + ("A" if good[-1] != "A" else "B"), f"{good}=", good[:-2], f"B{good[1:]}", good.lower()):
        assert api.call("GET", f"{CLIENTS}?after={bad}").status_code == 422


def test_cursor_of_another_list(api: Surface) -> None:
    """ADM-09: a cursor that holds no number is no cursor of the revocations."""
    assert api.call("GET", f"{REVOCATIONS}?after={cursor('cl_abc')}").status_code == 422


def test_queries_where_none_is_known(api: Surface) -> None:
    """A parameter is refused also where an operation knows none at all."""
    assert api.call("GET", f"{KEYS}?x=1").status_code == 422
