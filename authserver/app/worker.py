"""What a worker and its supervisor know of each other: a number, a place for metrics, and a channel.

The worker writes one byte once it serves. The supervisor writes nothing: the end of the channel is its own end.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass

READY = b"r"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One worker of a supervisor, as both of them write it: `NUMBER:DESCRIPTOR:DIRECTORY`."""

    number: int
    channel: int
    metrics_directory: str

    @classmethod
    def parse(cls, text: str) -> Worker:
        """Read what `str` has written; raise ValueError."""
        number, channel, directory = text.split(":", 2)
        return cls(number=int(number), channel=int(channel), metrics_directory=directory)

    def __str__(self) -> str:
        return f"{self.number}:{self.channel}:{self.metrics_directory}"


class Supervision:
    """The worker's end of the channel."""

    def __init__(self, worker: Worker) -> None:
        """Take over the inherited descriptor."""
        self._worker = worker
        self._channel = socket.socket(fileno=worker.channel)
        self._channel.settimeout(0)

    def say_ready(self) -> None:
        """Tell the supervisor that this worker serves."""
        try:
            self._channel.send(READY)
        except OSError:
            return  # it is gone, and `watch` says so

    def watch(self, orphaned: Callable[[], None]) -> None:
        """Call `orphaned` when the supervisor has ended, however it did; remove what it can remove no more."""
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(self._channel)
            shutil.rmtree(self._worker.metrics_directory, ignore_errors=True)
            orphaned()

        loop.add_reader(self._channel, ended)
