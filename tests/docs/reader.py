"""A reader of the documentation, who does beside a fresh server what a page says: only addresses are other ones."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.page import File, Step
from tests.docs.terminal import Terminal, service
from tests.node_packages import NodeMissing, install_packages
from tests.redis_server import wait_for
from tests.server import RunningServer, free_port

EXPRESS = Path(__file__).with_name("express")

#: The server, the service, and what stands behind a proxy.
PORTS = ("8000", "8080", "9000")

EFFECTIVE_SECONDS = 10.0


@dataclass(frozen=True)
class Reader:
    """Somebody who does what a page says, in a directory of his own."""

    server: RunningServer
    directory: Path
    ports: dict[str, str]

    @classmethod
    def beside(cls, server: RunningServer, directory: Path) -> Reader:
        """Sit down where the server was started."""
        with contextlib.suppress(FileExistsError):  # it is not the first time
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
