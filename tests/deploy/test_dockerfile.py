"""The image: what the Dockerfile promises, checked on its text and on the parts that run without an engine."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.deploy.documents import DEPLOY, ROOT, UID, instructions
from tests.server import RunningServer, free_port, start_server

INSTRUCTIONS = list(instructions((DEPLOY / "Dockerfile").read_text(encoding="utf-8")))
HEALTHCHECK = DEPLOY / "healthcheck.py"


def last(word: str) -> str:
    """Return what the last instruction of a kind says: that of the image, not that of the build."""
    return [rest for name, rest in INSTRUCTIONS if name == word][-1]


def test_the_image_runs_as_a_numeric_user_that_is_not_root() -> None:
    """Kubernetes' runAsNonRoot can check a number, not a name; the data directory belongs to it."""
    assert last("USER") == f"{UID}:{UID}"
    assert f"-o {UID} -g {UID} -m 0700 /data" in last("RUN")


def test_the_process_gets_the_signals() -> None:
    """Exec form: no shell stands between SIGTERM and the server, which drains on it."""
    assert json.loads(last("ENTRYPOINT")) == ["authserver"]
    assert json.loads(last("CMD")) == ["serve"]
    assert last("STOPSIGNAL") == "SIGTERM"


def test_everything_installed_is_pinned_by_hash() -> None:
    """Each installation demands hashes, or takes the wheel just built and nothing from elsewhere."""
    installs = [
        part for word, rest in INSTRUCTIONS if word == "RUN" for part in rest.split("&&") if " install " in part
    ]
    pip = [part for part in installs if "pip" in part]
    assert len(pip) == 3
    assert all("--require-hashes" in part or "--no-deps --no-index" in part for part in pip)


def test_the_base_image_is_pinned_and_the_same_in_both_stages() -> None:
    """The virtual environment is copied between the stages, so that both need one interpreter."""
    argument = last("ARG").removeprefix("PYTHON_IMAGE=")
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", argument)
    assert {rest.removesuffix(" AS build") for word, rest in INSTRUCTIONS if word == "FROM"} == {"${PYTHON_IMAGE}"}


def test_the_wheel_is_built_by_what_the_project_names() -> None:
    """The locked build backend is that of build-system.requires."""
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    locked = (DEPLOY / "build-requirements.txt").read_text(encoding="utf-8")
    assert all(f"{requirement} \\\n" in locked for requirement in requires)


def test_the_image_can_use_every_database_that_the_server_can() -> None:
    """What each extra asks for is in the lock of the image: else add the extra to `make lock`."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    wanted = {re.split(r"[\[<>=;]", requirement)[0] for extra in extras.values() for requirement in extra}
    locked = set(re.findall(r"^([\w-]+)==", (DEPLOY / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE))
    assert not wanted - locked


def test_what_is_copied_is_let_into_the_build_context() -> None:
    """Each source of a COPY is named in .dockerignore, which keeps everything else out, and exists."""
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignore
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copies = [rest.split() for word, rest in INSTRUCTIONS if word == "COPY" and "--from" not in rest]
    sources = {word for words in copies for word in words[:-1] if not word.startswith("--")}
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)


def test_the_health_check_tells_a_live_server_from_none(tmp_path: Path) -> None:
    """Exit 0 on 200; else 1 and one line, for a closed port as for a page that says no."""
    assert json.loads(last("HEALTHCHECK").partition(" CMD ")[2]) == ["healthcheck", "/health/live"]
    with start_server(tmp_path) as server:
        assert check(server, "/health/live") == (0, "")
        assert check(server, "/health/ready") == (0, "")
        assert check(server, "/nowhere")[0] == 1
        server.stop()
        assert check(server, "/health/live") == (1, "/health/live: no answer (ConnectionRefusedError)\n")


def test_the_health_check_gives_up_on_a_server_that_hangs(tmp_path: Path) -> None:
    """A port that accepts and never answers is unhealthy before the engine's own timeout of 3 s."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))
        listener.listen()
        code, said = run_check(listener.getsockname()[1], "/health/live")
    assert (code, said) == (1, "/health/live: no answer (TimeoutError)\n")


def check(server: RunningServer, path: str) -> tuple[int, str]:
    """Run the health check against a server; return exit code and what it said."""
    return run_check(server.port, path)


def run_check(port: int, path: str) -> tuple[int, str]:
    """Run the health check as the image does: isolated, without site-packages."""
    command = [sys.executable, "-IS", str(HEALTHCHECK), path]
    environment = {"AUTHSERVER_PORT": str(port)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10, check=False)
    return done.returncode, done.stderr
