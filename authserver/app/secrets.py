"""Secret keys and admin tokens that are replaced while the server runs: on SIGHUP, or when their file has changed.

What is read is compared, not the times of files: they also change by a new mount, and within one tick of a clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from authserver.admin.authorize import AdminTokens
from authserver.core.errors import AuthServerError, ConfigurationError
from authserver.keys.errors import SealBroken
from authserver.keys.ring import KeyRing
from authserver.keys.sealing import Sealer
from authserver.settings import Settings, common_problems

LOOK_SECONDS = 2.0

_DOES_NOT_OPEN = "AUTHSERVER_SECRET_KEY: it does not open the signing keys; keep the old key behind the new one."


@dataclass(frozen=True, slots=True)
class _Secrets:
    keys: tuple[str, ...] = field(repr=False)
    tokens: tuple[str, ...] = field(repr=False)


class SecretReload:
    """Takes over new secrets when they are good; bad ones change nothing and are one error in the log."""

    def __init__(
        self, *, settings: Settings, read: Callable[[], Settings], keys: KeyRing, admin_tokens: AdminTokens
    ) -> None:
        """Begin with the secrets in `settings`; `read` reads them again, and raises ConfigurationError."""
        self._present = self._seen = _secrets(settings)
        self._read = read
        self._keys = keys
        self._admin_tokens = admin_tokens
        self._refused: tuple[str, ...] = ()
        self._asked: set[asyncio.Task[None]] = set()  # the loop itself forgets tasks
        self._log = structlog.get_logger()

    async def look(self) -> None:
        """Take over what is there since the last look: a file that has just changed may be half written."""
        found = await self._found()
        if found is not None and found == self._seen:
            await self._take_over(found)
        self._seen = found or self._seen

    def ask(self) -> None:
        """Take over, as soon as possible, what is there now."""
        task = asyncio.create_task(self._reload())
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _reload(self) -> None:
        self._refused = ()  # whoever asks is told again
        found = await self._found()
        if found == self._present:
            self._log.info("secrets.unchanged")
        elif found is not None:
            await self._take_over(found)

    async def _found(self) -> _Secrets | None:
        """Return what is there now, None when it cannot be used."""
        try:
            settings = await asyncio.to_thread(self._read)
            found = _secrets(settings)
            self._check(settings, found)
        except ConfigurationError as error:
            self._refuse(*error.problems)
            return None
        except (OSError, ValueError) as error:  # ValueError: no text
            self._refuse(f"the file cannot be read ({type(error).__name__})")
            return None
        return found

    def _check(self, settings: Settings, found: _Secrets) -> None:
        problems = common_problems(settings)
        if not found.keys:
            problems.append("AUTHSERVER_SECRET_KEY: it is empty.")
        if self._present.tokens and not found.tokens:
            problems.append("AUTHSERVER_ADMIN_TOKEN: it is empty.")
        if problems:
            raise ConfigurationError(*problems)

    async def _take_over(self, found: _Secrets) -> None:
        if found == self._present:
            self._refused = ()
            return
        try:
            if found.keys != self._present.keys:
                await self._keys.use(Sealer(found.keys))
        except SealBroken:
            self._refuse(_DOES_NOT_OPEN)
            return
        except AuthServerError as error:  # the database is away: the next look tries again
            self._refuse(error.reason)
            return
        self._admin_tokens.replace(found.tokens)
        self._log.info(
            "secrets.reloaded",
            secret_key=found.keys != self._present.keys,
            admin_token=found.tokens != self._present.tokens,
        )
        self._present, self._refused = found, ()

    def _refuse(self, *problems: str) -> None:
        if problems != self._refused:
            self._refused = problems
            self._log.error("secrets.refused", reason=" ".join(problems), kept="the present ones")


def _secrets(settings: Settings) -> _Secrets:
    return _Secrets(settings.secret_keys, settings.admin_tokens)
