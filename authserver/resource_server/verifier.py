"""The verifier, for asyncio and for threads: one check, one engine, two ways to wait."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from authserver.resource_server.base import BaseVerifier, Errand
from authserver.resource_server.check import Proof, require_scopes
from authserver.resource_server.demands import NO_SCOPES
from authserver.resource_server.engine import START_SECONDS
from authserver.resource_server.errors import CannotVerify, Refusal
from authserver.resource_server.token import VerifiedToken


class Verifier(BaseVerifier):
    """Checks access tokens in asyncio. `async with verifier:` starts and ends it; the first check starts it as well."""

    async def __aenter__(self) -> Self:
        """Start, and wait up to 5 seconds for keys and revocations; raise ConfigurationError when they are refused.

        A server that is away is no reason not to start: until it is back, tokens are answered with CannotVerify.
        """
        learnt = asyncio.wrap_future(self.engine.open())
        try:
            async with asyncio.timeout(START_SECONDS):
                problem = await asyncio.shield(learnt)
        except TimeoutError:
            return self
        except BaseException:
            await self.aclose()
            raise
        if problem is not None:
            await self.aclose()
            raise problem
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """End the thread and the connections."""
        await asyncio.to_thread(self.engine.close)

    verify = BaseVerifier.verify_async


class ThreadVerifier(BaseVerifier):
    """Checks access tokens in threads, as WSGI services run them. `with verifier:` starts and ends it."""

    def __enter__(self) -> Self:
        """Start, as `Verifier` does."""
        try:
            problem = self.engine.open().result(START_SECONDS)
        except concurrent.futures.TimeoutError:
            return self
        except BaseException:
            self.close()
            raise
        if problem is not None:
            self.close()
            raise problem
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """End the thread and the connections."""
        self.engine.close()

    def verify(
        self,
        token: str,
        *,
        all_of: Iterable[str] = NO_SCOPES,
        any_of: Iterable[str] = NO_SCOPES,
        proof: Proof | None = None,
    ) -> VerifiedToken:
        """Return the token if it is good, as `verify_async` does, which an event loop may wait for as well."""
        try:
            outcome = self.attempt(token, proof)
            while isinstance(outcome, Errand):
                outcome = self.attempt(token, proof, found=outcome.future.result(), fetched=True)
            require_scopes(outcome, all_of=all_of, any_of=any_of)
        except concurrent.futures.CancelledError:  # a signal's handler has closed us before the errand began
            raise CannotVerify("the verifier was closed") from None
        except Refusal as refusal:
            self.tally.note(refusal)
            raise
        self.tally.verified += 1
        return outcome
