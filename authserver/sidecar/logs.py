"""The verifier's own messages in our log. They hold no token and no secret, so they are shown whole."""

from __future__ import annotations

import logging

import structlog

_VERIFIER = "authserver.resource_server"


class VerifierMessages(logging.Handler):
    """Writes what the verifier says as `verifier.message`, from `start` on: a start that fails says why once."""

    def __init__(self) -> None:
        """Take over the verifier's logger; those of other libraries stay as they are."""
        super().__init__()
        self._held: list[logging.LogRecord] | None = []
        logger = logging.getLogger(_VERIFIER)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.handlers = [self]

    def start(self) -> None:
        """Write what was held back, and everything from now on."""
        held, self._held = self._held or [], None
        for record in held:
            self.emit(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message, or hold it back."""
        if self._held is not None:
            self._held.append(record)
            return
        error = record.exc_info[1] if record.exc_info else None
        structlog.get_logger().log(record.levelno, "verifier.message", message=record.getMessage(), exc_info=error)
