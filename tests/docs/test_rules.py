"""The rules of docs/forward-auth.md do what the page says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import API, RunningServer, start_server

PAGE = (Path(__file__).parents[2] / "docs" / "forward-auth.md").read_text(encoding="utf-8")
(RULES,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

#: What proxies ask for when there are rules: the first `text` block behind them.
(ADDRESS,) = set(re.findall(r"/forward-auth\?[^;\s]+", PAGE.split(RULES)[1].split("```")[2]))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Yield a server with the rules of the page and the resource of all pages."""
    directory = tmp_path_factory.mktemp("server")
    (directory / "rules.json").write_text(RULES, encoding="utf-8")
    with start_server(directory, AUTHSERVER_FORWARD_AUTH_RULES=str(directory / "rules.json")) as running:
        running.create_resource(API)
        yield running


@pytest.mark.parametrize(
    ("method", "path", "scope", "status"),
    [
        ("GET", "/orders", "read", 204),
        ("HEAD", "/orders/1/items", "read", 204),
        ("GET", "/orders", None, 401),
        ("GET", "/orders", "write", 403),
        ("POST", "/orders", "read", 403),
        ("POST", "/orders", "write", 204),
        ("GET", "/public/x", None, 204),
        ("GET", "/elsewhere", "read", 403),
    ],
)
def test_the_rules_of_the_page(server: RunningServer, method: str, path: str, scope: str | None, status: int) -> None:
    """Asked as the page says to ask with rules, they let through what it says, and nothing else."""
    bearer = {}
    if scope is not None:
        bearer = {"Authorization": f"Bearer {server.token(server.create_client(), scope=scope)}"}
    original = {"X-Forwarded-Method": method, "X-Forwarded-Uri": path}
    assert server.get(ADDRESS, {**original, **bearer}).status == status


def test_a_scope_in_the_address_is_needed_as_well(server: RunningServer) -> None:
    """So the page has it left out: nobody would get at what is for everybody."""
    original = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/public/x"}
    assert server.get(ADDRESS.replace("?", "?scope=read&"), original).status == 401
