"""What is known beside a service, and judging its tokens by it."""

from __future__ import annotations

import math

from authserver.core.errors import AccessDenied, InvalidToken, TemporarilyUnavailable
from authserver.core.identity import Identity
from authserver.resource_server import CannotVerify, Refusal, VerifiedToken, Verifier

#: How old the knowledge is before there is any.
UNKNOWN_AGE = b"unknown"


class Judge:
    """Judges tokens by what one verifier knows. The verifier may be replaced meanwhile."""

    def __init__(self, verifier: Verifier, *, max_staleness_seconds: float) -> None:
        """Judge by `verifier`, which refuses by itself what it knows too long."""
        self.verifier = verifier
        self.max_staleness_seconds = max_staleness_seconds

    async def verified(self, token: str) -> VerifiedToken:
        """Return a token that is good now; raise InvalidToken, or TemporarilyUnavailable when nobody can tell."""
        return await _judged(self.verifier, token)

    async def identity(self, token: str, resource: str | None) -> Identity:
        """Return who presents a good token, as forward-auth's `IdentityCheck` asks.

        Raises AccessDenied when the proxy protects another resource than the one that is judged for here. How old
        the knowledge is stands in every answer, so not in the identity.
        """
        verifier = self.verifier  # the same for both questions, whatever is reloaded in between
        verified = await _judged(verifier, token)
        config = verifier.config
        if resource is not None and (config is None or resource != config.audience):
            raise AccessDenied("the proxy, or the rule, names another resource than the verifier configuration")
        return Identity(
            client_id=verified.client_id,
            subject=verified.subject,
            workspace_id=verified.workspace_id,
            scope=verified.scope,
            scopes=verified.scopes,
            claims=verified.claims,
        )

    def key_set(self) -> bytes:
        """Return the issuer's JWK Set as last fetched; raise TemporarilyUnavailable when it cannot be relied on."""
        doubts = self.doubts()
        if doubts:
            raise TemporarilyUnavailable("; ".join(doubts))
        return self.verifier.key_set

    def doubts(self) -> list[str]:
        """Return why tokens cannot be judged at the moment; nothing when they can."""
        status = self.verifier.status()
        if status.ready:
            return []
        doubts: list[str] = []
        if self.verifier.config is None:
            doubts.append("the verifier configuration has not been fetched yet: see the log, and --config")
        elif not status.keys:
            doubts.append(
                "no key of the issuer is known: its JWK Set is away, or holds none for these tokens; see the log"
            )
        return [*doubts, *self.staleness_problems()] or ["the sidecar is about to stop"]

    def staleness_problems(self) -> list[str]:
        """Return in what way the knowledge is too old; tokens are judged by it even so when --fail-open was said."""
        age = self.verifier.staleness_seconds()
        if age <= self.max_staleness_seconds:
            return []
        if math.isinf(age):
            return ["the revocation feed has not answered yet: see the log"]
        return [f"the revocation feed last answered {age:.0f} s ago, longer than --max-staleness allows"]

    def knowledge_age(self) -> bytes:
        """Return how many seconds ago all that was revoked was known here, with 3 decimals; `unknown` at first."""
        seconds = self.verifier.staleness_seconds()
        return UNKNOWN_AGE if math.isinf(seconds) else b"%.3f" % seconds


async def _judged(verifier: Verifier, token: str) -> VerifiedToken:
    """Return a token that is good now, with refusals as the errors of `core/errors.py`."""
    try:
        return await verifier.verify(token)
    except CannotVerify as unknown:
        raise TemporarilyUnavailable(unknown.reason) from None
    except Refusal as refusal:
        raise InvalidToken(refusal.reason) from None
