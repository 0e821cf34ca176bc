"""How long a check takes in this process: of a token seen before, of one never seen, and joserfc's bare decode.

Told: `verifier`, what `from_config` takes; `tokens`, all different; `rounds`; `checks`, how many of a seen token in a
round. Tells: for each measurement its microseconds in each round.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence

from joserfc import jwt
from joserfc.jwk import KeySet

from authserver.resource_server import ThreadVerifier, Verifier
from tests.benchmarks.talk import hear, tell
from tests.server import header_of

_Measurement = Callable[[Sequence[str]], Awaitable[float]]


class Measurements:
    """What is measured, each by a method that takes the new tokens of the round and returns microseconds a check."""

    def __init__(self, verifier: Verifier, threads: ThreadVerifier, seen: str, checks: int) -> None:
        """Use verifiers that have started, and check the token `seen` many times."""
        self._verifier = verifier
        self._threads = threads
        self._seen = seen
        self._checks = checks
        keys = KeySet.import_key_set(json.loads(verifier.key_set))
        self._key = keys.get_by_kid(header_of(seen)["kid"])

    def all(self) -> dict[str, _Measurement]:
        """Return them by the names that they are told by."""
        return {
            "seen": self.seen,
            "seen_scope": self.seen_with_scope,
            "seen_thread": self.seen_in_thread,
            "first": self.first,
            "first_thread": self.first_in_thread,
            "joserfc": self.joserfc,
        }

    async def seen(self, _new: Sequence[str]) -> float:
        """Check a token that was seen before."""
        return await self._await_each(_copies([self._seen] * self._checks))

    async def seen_with_scope(self, _new: Sequence[str]) -> float:
        """Check a token that was seen before, which must have a scope."""
        return await self._await_each(_copies([self._seen] * self._checks), all_of=("read",))

    async def seen_in_thread(self, _new: Sequence[str]) -> float:
        """Check a token that was seen before, without asyncio."""
        return self._call_each(_copies([self._seen] * self._checks))

    async def first(self, new: Sequence[str]) -> float:
        """Check tokens for the first time."""
        return await self._await_each(_copies(new))

    async def first_in_thread(self, new: Sequence[str]) -> float:
        """Check tokens for the first time, without asyncio."""
        return self._call_each(_copies(new))

    async def joserfc(self, new: Sequence[str]) -> float:
        """Verify signatures and decode, nothing more: no claim is looked at."""
        tokens, key = _copies(new), self._key
        began = time.perf_counter()
        for token in tokens:
            jwt.decode(token, key, algorithms=["ES256"])
        return _microseconds(began, len(tokens))

    async def _await_each(self, tokens: Sequence[str], all_of: Sequence[str] = ()) -> float:
        verify = self._verifier.verify
        began = time.perf_counter()
        for token in tokens:
            await verify(token, all_of=all_of)
        return _microseconds(began, len(tokens))

    def _call_each(self, tokens: Sequence[str]) -> float:
        verify = self._threads.verify
        began = time.perf_counter()
        for token in tokens:
            verify(token)
        return _microseconds(began, len(tokens))


async def main() -> None:
    """Measure everything in each round, beginning with another one each time; the first round warms up."""
    order = hear()
    tokens, rounds = order["tokens"], order["rounds"]
    each = len(tokens) // (rounds + 1)
    async with Verifier.from_config(**order["verifier"]) as verifier:
        with ThreadVerifier.from_config(**order["verifier"]) as threads:
            await verifier.verify(tokens[0])
            threads.verify(tokens[0])
            measurements = list(Measurements(verifier, threads, tokens[0], order["checks"]).all().items())
            times: dict[str, list[float]] = {name: [] for name, _ in measurements}
            for number in range(rounds + 1):
                new = tokens[1:][number * each : (number + 1) * each]
                first = number % len(measurements)
                for name, measurement in measurements[first:] + measurements[:first]:
                    times[name].append(await measurement(new))
    tell({name: microseconds[1:] for name, microseconds in times.items()})


def _copies(tokens: Sequence[str]) -> list[str]:
    """Return equal texts that are new objects, as each request brings one: their hashes are not known yet."""
    return [token.encode().decode() for token in tokens]


def _microseconds(began: float, count: int) -> float:
    return (time.perf_counter() - began) * 1_000_000 / count


if __name__ == "__main__":
    asyncio.run(main())
