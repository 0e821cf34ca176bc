"""The load generator: wrk, driven by load.lua."""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.figures import Sample, read_sample
from tests.benchmarks.processes import LOOPBACK, pinned
from tests.benchmarks.progress import say
from tests.benchmarks.server import Client, Load, Server

CONNECTIONS = 32
THREADS = 1

_SCRIPT = Path(__file__).with_name("load.lua")
_TOKENS_PER_SECOND_GUESS = 3_000


class LoadGenerator:
    """Runs wrk against one load at a time."""

    def __init__(self, *, executable: str, folder: Path, cores: Sequence[int]) -> None:
        """Keep requests and answers in `folder`; run on `cores`, or on any when none is named."""
        self._executable = executable
        self._folder = folder
        self._cores = cores
        self._requests = folder / "requests.txt"
        self._answers = folder / "answers.txt"

    def on_cores(self, cores: Sequence[int]) -> LoadGenerator:
        """Return one that is the same but for the cores that it runs on."""
        return LoadGenerator(executable=self._executable, folder=self._folder, cores=cores)

    def measure(self, load: Load, seconds: int) -> Sample:
        """Return what came of `load` in `seconds`, having seen before and after that it is answered rightly."""
        load.prove()
        sample = self._run(load, seconds, [])
        load.prove()
        if load.only_once and sample.requests > len(load.posts):
            raise BenchmarkError(f"{len(load.posts):,} requests were too few for {sample.requests:,}")
        return sample

    def mint(self, server: Server, client: Client, count: int) -> list[str]:
        """Return at least `count` different tokens of `client`."""
        load = server.token_load([client])
        tokens: list[str] = []
        while len(tokens) < count:
            seconds = math.ceil((count - len(tokens)) / _TOKENS_PER_SECOND_GUESS)
            self._run(load, seconds, [str(self._answers)])
            tokens += _tokens_in(self._answers)
        return tokens

    def _run(self, load: Load, seconds: int, script_arguments: Sequence[str]) -> Sample:
        lines = (f"{post.authorization}\t{post.body}\n" for post in load.posts)
        with self._requests.open("w", encoding="ascii") as file:
            file.writelines(lines)
        command = [self._executable, f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(_SCRIPT)]
        address = f"http://{LOOPBACK}:{load.port}{load.path}"
        arguments = [*command, address, "--", str(self._requests), load.method, *script_arguments]
        server_before, load_before = load.running.cpu_seconds(), _waited_for_cpu_seconds()
        finished = subprocess.run(pinned(arguments, self._cores), capture_output=True, text=True, check=False)
        return replace(
            read_sample(finished.stdout + finished.stderr),
            server_cpu=load.running.cpu_seconds() - server_before,
            load_cpu_seconds=_waited_for_cpu_seconds() - load_before,
        )


def find_wrk() -> str:
    """Return where wrk is, installed by apt-get when it is missing and we may; BenchmarkError otherwise."""
    found = shutil.which("wrk") or _install_wrk()
    if found is None:
        raise BenchmarkError(
            "wrk is missing and could not be installed: install it (Debian, Ubuntu: apt-get install wrk)"
        )
    return found


def _install_wrk() -> str | None:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return None
    say("installing wrk")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [apt, "install", "--yes", "--no-install-recommends", "wrk"]
    for command in (install, [apt, "update"], install):
        subprocess.run(command, env=environment, capture_output=True, check=False)
        if found := shutil.which("wrk"):
            return found
    return None


def _waited_for_cpu_seconds() -> float:
    """Return the CPU time of the processes that this one has started and seen end."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _tokens_in(answers: Path) -> list[str]:
    with answers.open(encoding="utf-8") as file:
        return [json.loads(line)["access_token"] for line in file]
