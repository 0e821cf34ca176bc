"""How a process stops: it says that it is not ready, goes on serving for a while, closes the door, finishes, leaves."""

from __future__ import annotations

import signal
from enum import IntEnum

DRAINING = "draining: this server is about to stop, send requests elsewhere"


class Stage(IntEnum):
    """How far a process has come on its way out; it only goes forward."""

    SERVING = 0
    DRAINING = 1  #: not ready any more, but still accepting: whoever sends requests here has yet to notice
    CLOSING = 2  #: accepting nothing new, finishing what is at hand
    LEAVING = 3  #: not even that


class Stop:
    """The way out of one process."""

    def __init__(self, *, delay_seconds: int, supervised: bool) -> None:
        """Drain for `delay_seconds`; `supervised`: a supervisor passes signals on."""
        self.delay_seconds = delay_seconds
        self._supervised = supervised
        self.stage = Stage.SERVING

    def signalled(self, number: int) -> Stage:
        """Go on to the stage that a signal asks for, and return it.

        SIGTERM begins to drain, and a second one ends the delay. SIGINT (a person, or a supervisor in a hurry) does
        not drain, and a second one does not wait for requests. A supervised process takes any number of SIGTERM for
        one: a service manager sends it to the whole group, and the supervisor to each worker.
        """
        if number == signal.SIGINT:
            self.stage = Stage.CLOSING if self.stage < Stage.CLOSING else Stage.LEAVING
        elif self.stage is Stage.SERVING:
            self.stage = Stage.DRAINING if self.delay_seconds else Stage.CLOSING
        elif not self._supervised:
            self.stage = max(self.stage, Stage.CLOSING)
        return self.stage
