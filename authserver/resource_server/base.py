"""What the verifiers for asyncio and for threads have in common: everything but the waiting of threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

from authserver.core.errors import ConfigurationError
from authserver.core.text_file import UnreadableFile, read_secret
from authserver.resource_server.check import Limits, Proof, TokenCheck, Unreadable, require_proof, require_scopes
from authserver.resource_server.claims import read_confirmation
from authserver.resource_server.config import ConfigSource, VerifierConfig, config_of
from authserver.resource_server.demands import NO_SCOPES
from authserver.resource_server.engine import Engine
from authserver.resource_server.errors import CannotVerify, InvalidToken, Refusal
from authserver.resource_server.key_set import UnknownKey
from authserver.resource_server.source import Connection
from authserver.resource_server.token import VerifiedToken


class Introspection(StrEnum):
    """Which tokens the authorization server is asked about (RFC 7662): those that we cannot read ourselves, or all."""

    NEVER = "never"
    FOREIGN = "foreign"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a verifier knows at the moment, for health checks and metrics.

    `staleness_seconds` is infinite before revocations are known for the first time. `ready`: tokens can be judged.
    """

    ready: bool
    staleness_seconds: float
    as_of: float
    revocations: int
    keys: int
    feed_answers: int
    feed_failures: int
    key_fetches: int
    key_failures: int
    verified: int
    refused: int
    unavailable: int


class BaseVerifier:
    """Judges tokens at once where it can, and says what has to be fetched where it cannot."""

    def __init__(
        self,
        config: VerifierConfig | str,
        *,
        connection: Connection,
        limits: Limits,
        follow_revocations: bool = True,
        introspection: Introspection = Introspection.NEVER,
    ) -> None:
        """Check tokens by `config`, or by what a URL says when the verifier starts. See `from_config`."""
        needs_credentials = follow_revocations or introspection is not Introspection.NEVER or isinstance(config, str)
        if needs_credentials and not connection.has_credentials:
            raise ConfigurationError(
                "client_id and client_secret of the resource server are needed to learn what was revoked; "
                "without them say follow_revocations=False, and accept that a revoked token works until it expires."
            )
        self._engine = Engine(
            config,
            connection=connection,
            limits=limits,
            follow_revocations=follow_revocations,
            introspects=introspection is not Introspection.NEVER,
        )
        self._limits = limits
        self._introspection = introspection
        self._tally = Tally()

    @classmethod
    def from_config(
        cls,
        source: ConfigSource,
        *,
        client_id: str | None = None,
        client_secret: str | Path | None = None,
        leeway_seconds: int = 30,
        max_staleness_seconds: float = 60,
        fail_open: bool = False,
        follow_revocations: bool = True,
        introspection: Literal["never", "foreign", "always"] = "never",
        cache_entries: int = 10_000,
        timeout_seconds: float = 5,
        ssl_context: ssl.SSLContext | None = None,
        allow_http: bool = False,
    ) -> Self:
        """Return a verifier for the document at `source`: a path, a URL, or the document itself.

        - `client_id`, `client_secret`: of the resource server's own client. A `pathlib.Path` is a file that holds the
          secret; it is read whenever the secret is sent, so a rotation needs no restart.
        - `leeway_seconds`, 0 to 60: how far the clocks may differ.
        - `max_staleness_seconds`, 3 or more: how old the known revocations may be. Past that, tokens are refused with
          CannotVerify (503), or judged by the last known ones with `fail_open`.
        - `follow_revocations`: False takes a revoked token until it expires, and needs no credentials.
        - `introspection`: "foreign" asks the server about tokens that are no JWTs of this issuer, "always" about all.
        - `cache_entries`: how many good tokens are remembered. `timeout_seconds`: for each step of an exchange.
        - `ssl_context` trusts a private certificate authority; `allow_http` other hosts, on a network that you trust.

        HS256 secrets are fetched again only if `source` is a URL. Raises ConfigurationError for what cannot work.
        """
        if introspection not in set(Introspection):
            raise ConfigurationError(f"introspection: must be one of {', '.join(Introspection)}.")
        return cls(
            config_of(source, allow_http=allow_http),
            connection=Connection(
                client_id=client_id,
                client_secret=_checked(client_secret),
                timeout_seconds=timeout_seconds,
                ssl_context=ssl_context,
                allow_http=allow_http,
            ),
            limits=Limits(
                leeway_seconds=leeway_seconds,
                max_staleness_seconds=max_staleness_seconds,
                fail_open=fail_open,
                cache_entries=cache_entries,
            ),
            follow_revocations=follow_revocations,
            introspection=Introspection(introspection),
        )

    @property
    def config(self) -> VerifierConfig | None:
        """Return the configuration, None while its URL has not answered yet."""
        check = self._engine.check
        return check.config if check else None

    @property
    def key_set(self) -> bytes:
        """Return the JWK Set as the authorization server published it last."""
        return self._engine.key_set

    def start_soon(self) -> None:
        """Start without waiting for anything, unless it runs or was closed; raise CannotVerify without a thread."""
        self._engine.start()

    def staleness_seconds(self) -> float:
        """Return how long ago everything that was revoked was known here; infinite before the first answer."""
        check = self._engine.check
        return check.staleness_seconds() if check else float("inf")

    def status(self) -> Status:
        """Return what is known at the moment; does no I/O."""
        check, counts = self._engine.check, self._engine.counts
        return Status(
            ready=self._is_ready(check),
            staleness_seconds=self.staleness_seconds(),
            as_of=check.revocations.as_of if check else 0.0,
            revocations=len(check.revocations) if check else 0,
            keys=len(check.keys) if check and check.keys else 0,
            feed_answers=counts.feed_answers,
            feed_failures=counts.feed_failures,
            key_fetches=counts.key_fetches,
            key_failures=counts.key_failures,
            verified=self._tally.verified,
            refused=self._tally.refused,
            unavailable=self._tally.unavailable,
        )

    def _is_ready(self, check: TokenCheck | None) -> bool:
        if check is None or not check.keys or self._engine.is_closed:  # one without any key refuses all tokens
            return False
        fresh = check.staleness_seconds() <= self._limits.max_staleness_seconds
        return fresh or self._limits.fail_open or not check.follows_revocations

    async def verify_async(
        self,
        token: str,
        *,
        all_of: Iterable[str] = NO_SCOPES,
        any_of: Iterable[str] = NO_SCOPES,
        proof: Proof | None = None,
    ) -> VerifiedToken:
        """Return the token if it is good, has all the scopes of `all_of`, and one of `any_of` if any are named.

        Scopes may be given as a list or as a text with spaces. A token that is bound to a key (`cnf`, RFC 7800) is
        good only if `proof`, given that claim, returns True: the caller holds the key. Raises a Refusal; TypeError or
        ValueError for what names no scopes.
        """
        try:
            outcome = self._attempt(token, proof)
            while isinstance(outcome, PendingFetch):
                outcome = self._attempt(token, proof, found=await _awaited(outcome), fetched=True)
            require_scopes(outcome, all_of=all_of, any_of=any_of)
        except Refusal as refusal:
            self._tally.note(refusal)
            raise
        self._tally.verified += 1
        return outcome

    def _attempt(
        self, token: str, proof: Proof | None, *, found: VerifiedToken | None = None, fetched: bool = False
    ) -> VerifiedToken | PendingFetch:
        """Return the token if it is good, or a PendingFetch to wait for first; raise a Refusal.

        `found`: the token that introspection has returned. `fetched`: a fetch has ended, so neither the start nor newer
        keys are waited for again.
        """
        engine = self._engine
        if not fetched and not engine.has_started:
            return PendingFetch(engine.wait_for_start())
        if found is not None:
            confirmation = read_confirmation(found.claims)
            if confirmation is not None:
                require_proof(confirmation, proof)
            return found
        if self._introspection is Introspection.ALWAYS:
            return PendingFetch(engine.introspect(token))
        check = engine.check
        if check is None:
            raise CannotVerify("there is no configuration yet")
        try:
            return check.verify(token, proof)
        except UnknownKey as unknown:
            if not fetched and engine.may_fetch_keys:
                return PendingFetch(engine.fetch_keys())
            if engine.may_miss_a_key and self._introspection is Introspection.NEVER:
                raise CannotVerify("the key may be a new one, and newer keys could not be learnt") from None
            reason = unknown.reason
        except Unreadable as unreadable:
            reason = unreadable.reason
        return self._ask_elsewhere(token, check, reason)

    def _ask_elsewhere(self, token: str, check: TokenCheck, reason: str) -> PendingFetch:
        """Return a PendingFetch for a token that cannot be read here; raise a Refusal if there is nobody to ask."""
        if not check.keys:
            raise CannotVerify("there are no keys")
        if self._introspection is Introspection.FOREIGN:
            return PendingFetch(self._engine.introspect(token))
        raise InvalidToken(reason)


@dataclass(frozen=True, slots=True)
class PendingFetch:
    """A fetch that must end before the check can go on.

    Its result is a token, by introspection, or None, when it was for the start or for newer keys.
    """

    future: concurrent.futures.Future[Any]


async def _awaited(fetch: PendingFetch) -> VerifiedToken | None:
    """Wait in an event loop; raise CannotVerify for a fetch that was cancelled, not for a task that was."""
    try:
        return await asyncio.wrap_future(fetch.future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise CannotVerify("the verifier was closed") from None


class Tally:
    """Counts how checks end."""

    __slots__ = ("refused", "unavailable", "verified")

    def __init__(self) -> None:
        self.verified = self.refused = self.unavailable = 0

    def note(self, refusal: Refusal) -> None:
        """Count a check that ended with a refusal."""
        if isinstance(refusal, CannotVerify):
            self.unavailable += 1
        else:
            self.refused += 1


def _checked(secret: str | Path | None) -> str | Path | None:
    """Return the secret, or the file that holds it once it could be read; raise ConfigurationError."""
    if isinstance(secret, Path):
        try:
            read_secret(secret)
        except UnreadableFile as reason:
            raise ConfigurationError(f"{secret}: the client secret cannot be read ({reason})") from None
    return secret
