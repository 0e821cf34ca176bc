"""The verifier, for asyncio and for threads: one check, one engine, two ways to wait."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import Self

from authserver.resource_server.base import BaseVerifier, PendingFetch
from authserver.resource_server.check import Proof, require_scopes
from authserver.resource_server.demands import NO_SCOPES
from authserver.resource_server.engine import START_SECONDS
from authserver.resource_server.errors import CannotVerify, Refusal
from authserver.resource_server.token import VerifiedToken


class Verifier(BaseVerifier):
    """Checks access tokens in asyncio. `async with verifier:` starts and ends it; the first check starts it as well."""

    async def __aenter__(self) -> Self:
        """Start, as `start` does."""
        await self.start()
        return self

    async def start(self) -> None:
        """Start, and wait up to 5 seconds for keys and revocations; raise ConfigurationError when they are refused.

        A server that is away is no reason not to start: until it is back, tokens are answered with CannotVerify. That
        is raised here as well when the system has no thread to give; the first check tries again.
        """
        started = asyncio.wrap_future(self._engine.open())
        try:
            async with asyncio.timeout(START_SECONDS):
                problem = await asyncio.shield(started)
        except TimeoutError:
            return
        except BaseException:
            await self.aclose()
            raise
        if problem is not None:
            await self.aclose()
            raise problem

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """End the thread and the connections. No token is good any more, until it is started again."""
        await asyncio.to_thread(self._engine.close)

    async def pause(self) -> None:
        """End the thread and the connections; the next check starts them again, should there be one."""
        await asyncio.to_thread(partial(self._engine.close, for_good=False))

    verify = BaseVerifier.verify_async


class ThreadVerifier(BaseVerifier):
    """Checks access tokens in threads, as WSGI services run them. `with verifier:` starts and ends it."""

    def __enter__(self) -> Self:
        """Start, as `start` does."""
        self.start()
        return self

    def start(self) -> None:
        """Start, and wait, as that of `Verifier` does."""
        started = self._engine.open()
        try:
            problem = started.result(START_SECONDS)
        except concurrent.futures.TimeoutError:
            return
        except BaseException:
            self.close()
            raise
        if problem is not None:
            self.close()
            raise problem

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """End the thread and the connections. No token is good any more, until it is started again."""
        self._engine.close()

    def verify(
        self,
        token: str,
        *,
        all_of: Iterable[str] = NO_SCOPES,
        any_of: Iterable[str] = NO_SCOPES,
        proof: Proof | None = None,
    ) -> VerifiedToken:
        """Return the token if it is good. Blocks; arguments and errors are those of `verify_async`, for event loops."""
        try:
            outcome = self._attempt(token, proof)
            while isinstance(outcome, PendingFetch):
                outcome = self._attempt(token, proof, found=outcome.future.result(), fetched=True)
            require_scopes(outcome, all_of=all_of, any_of=any_of)
        except concurrent.futures.CancelledError:  # a signal's handler has closed us before the fetch began
            raise CannotVerify("the verifier was closed") from None
        except Refusal as refusal:
            self._tally.note(refusal)
            raise
        self._tally.verified += 1
        return outcome
