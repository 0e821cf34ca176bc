"""How long a verifier waits before it asks a server again that did not answer."""

from __future__ import annotations

import random

from authserver.resource_server.source import SourceFailed

REFUSED_SECONDS = 10.0

#: A Retry-After of more is not obeyed to its end.
LONGEST_OBEYED_SECONDS = 30

_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 2.0


class Backoff:
    """Grows with each failure, up to 2 seconds; more when the server asks for it."""

    def __init__(self, *, longest_obeyed_seconds: float) -> None:
        """Obey Retry-After up to `longest_obeyed_seconds`: what is known here gets old meanwhile."""
        self._longest_obeyed_seconds = longest_obeyed_seconds
        self._seconds = _FIRST_SECONDS

    def after(self, failure: SourceFailed) -> float:
        """Return how many seconds to wait now, not quite the same for all who lost the server at the same moment."""
        usual = self._seconds * random.uniform(0.5, 1)  # noqa: S311 - spreads the load
        self._seconds = min(2 * self._seconds, _LONGEST_SECONDS)
        if failure.refused:
            return REFUSED_SECONDS
        return usual + min(failure.retry_after_seconds, self._longest_obeyed_seconds)

    def reset(self) -> None:
        """Start small again: the server has answered."""
        self._seconds = _FIRST_SECONDS
