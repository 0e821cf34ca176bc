"""Each quick start page runs as it stands, beside a fresh server: only addresses are other ones."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.proxies import PROGRAMS
from tests.docs.page import File, Service, Step, read_page
from tests.docs.reader import Reader
from tests.docs.terminal import terminal
from tests.server import API

PAGES = Path(__file__).parents[2] / "docs" / "quickstart"
#: Other people's libraries in other languages: these pages show their configuration.
SHOWN_ONLY = ("go", "java")

_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def runnable() -> Iterator[object]:
    """Yield the names of the pages that run here; a proxy's where it is installed."""
    for path in sorted(PAGES.glob("*.md")):
        name = path.stem
        if name == "README" or name in SHOWN_ONLY:
            continue
        missing = name in PROGRAMS and PROGRAMS[name] is None
        yield pytest.param(name, marks=pytest.mark.skipif(missing, reason=f"{name} is not installed"))


@pytest.mark.parametrize("name", list(runnable()))
def test_the_page_runs_as_it_stands(reader: Reader, name: str) -> None:
    """Every command prints what the page shows: no token 401, a good one 200, too little scope 403, revoked 401."""
    done = read_page(PAGES / f"{name}.md")
    shown = [step.output for step in done if isinstance(step, Step)]
    statuses = [status for output in shown for status in re.findall(r"(?:^| )(\d{3})$", output, re.MULTILINE)]
    assert statuses == ["401", "200", "403", "401"]
    with contextlib.ExitStack() as stack:
        shell = stack.enter_context(terminal(reader.directory, reader.environment))
        before = ""
        for one in done:
            if isinstance(one, File):
                reader.save(one)
            elif isinstance(one, Service):
                stack.enter_context(reader.start(one.command))
            else:
                reader.type(shell, one, after_revocation="/oauth2/revoke" in before)
                before = one.command


def test_express_says_why_it_cannot_ask(reader: Reader) -> None:
    """Credentials that authserver does not take, and an authserver that is away: 503, when to come again, a reason."""
    done = read_page(PAGES / "express.md")
    (start,) = [one for one in done if isinstance(one, Service)]
    with terminal(reader.directory, reader.environment) as shell:
        for one in done[: done.index(start)]:
            if isinstance(one, File):
                reader.save(one)
            elif isinstance(one, Step):
                reader.type(shell, one, after_revocation=False)
        (reader.directory / "orders.credentials").write_text("orders:wrong")
        billing, secret = (reader.directory / "billing.credentials").read_text().strip().split(":")
        token = reader.server.token({"client_id": billing, "client_secret": secret})
        ask = f"curl -sS -D - -H 'Authorization: Bearer {token}' http://127.0.0.1:{reader.ports['8080']}/orders; echo"
        with reader.start(start.command):
            for reason in ('introspection answers 401: {"error":"invalid_client"', "ECONNREFUSED"):
                answer = shell.run(ask)
                assert " 503 " in answer
                assert "Retry-After: 1" in answer
                assert '{"error":"temporarily_unavailable"}' in answer
                assert reason in (reader.directory / "service.log").read_text()
                reader.server.stop()


@pytest.mark.parametrize("name", SHOWN_ONLY)
def test_what_is_only_shown_names_what_is_there(reader: Reader, name: str) -> None:
    """The commands of the page run, and every address of the server in its configuration answers."""
    done = read_page(PAGES / f"{name}.md")
    with terminal(reader.directory, reader.environment) as shell:
        for one in done:
            if isinstance(one, Step):
                reader.type(shell, one, after_revocation=False)
    configuration = "".join(one.text for one in done if isinstance(one, File))
    assert f'"{API}"' in configuration
    paths = re.findall(r"http://127\.0\.0\.1:8000([\w./-]*)", configuration)
    assert paths
    for path in paths:
        assert reader.server.get(path or "/.well-known/openid-configuration").status != 404, path


def test_what_was_registered_for_one_page_serves_on_all() -> None:
    """The first block is the same on every page that says so, or another one where the part is needed anyway."""
    pages = {path.stem: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md") if path.stem != "README"}
    registrations = {name: page.split("```console\n")[1].split("```")[0] for name, page in pages.items()}
    skipped = {name for name, page in pages.items() if "Skip this part." in page}
    assert skipped == pages.keys() - {"mcp"}
    assert len({registrations[name] for name in skipped}) == 1


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    """A relative link names a file of the repository, and a heading in it."""
    for target, anchor in _LINK.findall(path.read_text(encoding="utf-8")):
        page = path.parent / target if target else path
        assert page.exists(), target
        assert not anchor or anchor in anchors(page), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as they are made from their words."""
    headings = _HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_lists_every_page() -> None:
    """No page is found by luck only."""
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in PAGES.glob("*.md")} == {"README.md", *re.findall(r"\]\((\w+\.md)\)", index)}
