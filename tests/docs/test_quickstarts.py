"""Each quick start page runs as it stands, beside a fresh server: only addresses are other ones."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conformance.proxies import PROGRAMS
from tests.docs.page import File, Service, Step, read_page
from tests.docs.terminal import Terminal, service, terminal
from tests.node_packages import NodeMissing, install_packages
from tests.redis_server import wait_for
from tests.server import API, RunningServer, free_port, start_server

PAGES = Path(__file__).parents[2] / "docs" / "quickstart"
EXPRESS = Path(__file__).with_name("express")

#: The server, the service, and what stands behind a proxy.
PORTS = ("8000", "8080", "9000")

#: Other people's libraries in other languages: these pages show their configuration.
SHOWN_ONLY = ("go", "java")

EFFECTIVE_SECONDS = 10.0

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


@dataclass(frozen=True)
class Reader:
    """Somebody who does what a page says, in a directory of his own."""

    server: RunningServer
    directory: Path
    ports: dict[str, str]

    @classmethod
    def beside(cls, server: RunningServer, directory: Path) -> Reader:
        """Sit down where the server was started."""
        (directory / ".venv").symlink_to(Path(sys.prefix))
        free = (str(server.port), str(free_port()), str(free_port()))
        return cls(server, directory, dict(zip(PORTS, free, strict=True)))

    @property
    def environment(self) -> dict[str, str]:
        """Return that of a user, with Debian's place for nginx; what programs keep stays in the directory."""
        own = {"HOME": str(self.directory), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        kept = {name: value for name, value in self.server.environment.items() if name != "AUTHSERVER_DATA_DIR"}
        return kept | own | {"XDG_DATA_HOME": str(self.directory), "XDG_CONFIG_HOME": str(self.directory)}

    def here(self, text: str) -> str:
        """Return a text with the ports of this run."""
        return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda port: self.ports[port[0]], text)

    def save(self, file: File) -> None:
        """Write a file. Caddy's own management port, which no page names, must not meet that of another test."""
        before = f"{{\n\tadmin 127.0.0.1:{free_port()}\n}}\n" if file.name == "Caddyfile" else ""
        (self.directory / file.name).write_text(before + self.here(file.text), encoding="utf-8")

    def start(self, command: str) -> contextlib.AbstractContextManager[None]:
        """Run the service until the block is left."""
        return service(self.here(command), self.directory, self.environment, port=int(self.ports["8080"]))

    def type(self, shell: Terminal, step: Step, *, after_revocation: bool) -> None:
        """Run a command and compare. A revocation may take a moment to arrive: what follows it is tried again."""
        command, expected = self.here(step.command), masked(self.here(step.output))
        if command.startswith("npm install"):
            install(command, self.directory)
            return
        output = masked(shell.run(command))
        if after_revocation:
            with contextlib.suppress(AssertionError):
                wait_for(lambda: masked(shell.run(command)) == expected, "the refusal", EFFECTIVE_SECONDS)
            output = masked(shell.run(command))
        log = self.directory / "service.log"
        assert output == expected, f"$ {command}\n{log.read_text() if log.exists() else ''}"


def masked(text: str) -> str:
    """Return an output without what differs from run to run."""
    return re.sub(r'("request_id":")[\w-]+"', r'\1ID"', text)


def install(command: str, directory: Path) -> None:
    """Install what `npm install` names, in the locked versions, once; skip where there is no Node.js."""
    locked = json.loads((EXPRESS / "package.json").read_text())["dependencies"]
    named = dict(word.split("@") for word in command.split() if "@" in word)
    assert named == {name: version.split(".")[0] for name, version in locked.items()}
    try:
        install_packages(EXPRESS)
    except NodeMissing:
        pytest.skip("Node.js with npm is not installed: the page of Express is not tried")
    (directory / "node_modules").symlink_to(EXPRESS / "node_modules")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Yield a reader beside a server of his own."""
    (tmp_path / "data").mkdir(mode=0o700)
    with start_server(tmp_path / "data") as server:
        yield Reader.beside(server, tmp_path)


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
