"""SIGHUP: configuration, secret and rules are read again, and taken over when they are good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import isinf

import structlog

from authserver.core.errors import ConfigurationError
from authserver.endpoints.forward_rules import Rules
from authserver.resource_server import Status
from authserver.sidecar.judge import Judge
from authserver.sidecar.options import Sources


class Reload:
    """Replaces what a judge judges by. What is worse than the present changes nothing and is one error in the log."""

    def __init__(
        self,
        *,
        judge: Judge,
        read: Callable[[], Sources],
        use_rules: Callable[[Rules | None], None],
        asked: asyncio.Event,
    ) -> None:
        """`read` reads the sources again, and raises ConfigurationError; `use_rules` takes over the rules.

        `asked` is set by whoever wants a reload: as soon as possible, once for all who ask until then.
        """
        self._judge = judge
        self._read = read
        self._use_rules = use_rules
        self._asked = asked
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Reload whenever somebody asks, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._reload()
            except ConfigurationError as error:
                self._log.error("reload.refused", reason=" ".join(error.problems), kept="the present ones")
            except Exception as error:  # noqa: BLE001 - whatever it was, the next SIGHUP must be heard
                self._log.error("reload.failed", exc_info=error, kept="the present ones")

    async def _reload(self) -> None:
        sources = self._read()
        present, verifier = self._judge.verifier, await sources.start()  # closed by whoever replaces it, or by `serve`
        if _knows_less(verifier.status(), present.status()):
            await verifier.aclose()
            raise ConfigurationError(
                "The authorization server does not answer, or has no key, and what is known would be lost."
            )
        self._judge.verifier = verifier
        self._use_rules(sources.rules)
        await present.aclose()
        self._log.info("reload.done")


def _knows_less(new: Status, old: Status) -> bool:
    """Tell whether something would be lost. With --fail-open a verifier is ready before it knows any revocation."""
    return (old.ready and not new.ready) or (isinf(new.staleness_seconds) and not isinf(old.staleness_seconds))
