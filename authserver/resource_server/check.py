"""The check itself: a token, what is known, and the time; no I/O and no waiting.

Signature and shape are judged once and remembered. Time, revocation, the age of what is known and scopes are judged on
every call.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from authserver.core.errors import ConfigurationError
from authserver.core.identifiers import token_id_bytes
from authserver.core.json_value import Json
from authserver.core.revocation import MAX_LEEWAY_SECONDS
from authserver.jose.compact import open_compact
from authserver.jose.errors import UntrustedToken
from authserver.resource_server.claims import not_before, read_claims, read_confirmation
from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.demands import NO_SCOPES, choice_names, scope_names
from authserver.resource_server.errors import CannotVerify, InsufficientScope, InvalidToken
from authserver.resource_server.key_set import KeySet, UnknownKey
from authserver.resource_server.revocations import FeedPage, RevocationCopy
from authserver.resource_server.strict_json import read_object
from authserver.resource_server.token import VerifiedToken

MAX_TOKEN_CHARACTERS = 16 * 1024
MIN_STALENESS_SECONDS = 3

#: Given the `cnf` claim (RFC 7800 §3.1), tells whether the caller has proved to hold that key.
Proof = Callable[[Mapping[str, Json]], bool]


_log = logging.getLogger("authserver.resource_server")


class Unreadable(InvalidToken):
    """The text is no access token of the issuer; somebody else may know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`leeway_seconds`: how far clocks may differ. `max_staleness_seconds`: how old the known revocations may be.

    `fail_open`: past that age, judge by the last known ones instead of raising CannotVerify. `cache_entries`: how many
    good tokens are remembered.
    """

    leeway_seconds: int = 30
    max_staleness_seconds: float = 60
    fail_open: bool = False
    cache_entries: int = 10_000

    def __post_init__(self) -> None:
        """Raise ConfigurationError for what makes no sense."""
        if not 0 <= self.leeway_seconds <= MAX_LEEWAY_SECONDS:  # NaN is nowhere between
            raise ConfigurationError(
                f"leeway_seconds must be 0 to {MAX_LEEWAY_SECONDS}: revocations outlive exp no longer"
            )
        if not MIN_STALENESS_SECONDS <= self.max_staleness_seconds < float("inf"):
            raise ConfigurationError(
                f"max_staleness_seconds must be {MIN_STALENESS_SECONDS} or more, since the feed needs time, and "
                "finite: to let tokens in however old the knowledge is, say fail_open"
            )


class TokenCheck:
    """Judges tokens by `keys` and `revocations`, which others keep up to date."""

    def __init__(
        self,
        config: VerifierConfig,
        *,
        limits: Limits,
        follows_revocations: bool,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        """Take tokens of `config`. `clock` and `monotonic` count seconds."""
        self.config = config
        self.revocations = RevocationCopy()
        self.keys: KeySet | None = KeySet.shared(config) if config.secrets else None
        self._leeway = limits.leeway_seconds
        self._max_staleness = float("inf") if limits.fail_open else limits.max_staleness_seconds
        self._cache_entries = limits.cache_entries
        self.follows_revocations = follows_revocations
        self._clock = clock
        self._monotonic = monotonic
        self._seen = SeenTokens(limits.cache_entries)
        self._told: set[str] = set()

    def replace_keys(self, keys: KeySet) -> None:
        """Believe `keys` from now on. What was remembered is forgotten: its key may have gone."""
        self.keys = keys
        self._seen = SeenTokens(self._cache_entries)  # in this order: see `verify`

    def take(self, page: FeedPage, *, asked_at: float) -> None:
        """Apply a page of the feed that was asked for at monotonic time `asked_at`; raise ValueError if it is absurd.

        The server cannot have been asked before, nor have known anything after now, whatever it says; nor more than
        in an answer of the very same `as_of`, which may come from a cache. An entry is dropped when its tokens have
        expired by the server's clock and by ours, which judges them here.
        """
        known_at = min(asked_at + page.known_after_seconds, self._monotonic())
        if page.as_of == self.revocations.as_of and self.revocations.known_at is not None:
            known_at = min(known_at, self.revocations.known_at)
        self.revocations.take(page, known_at=known_at, now_seconds=int(min(page.as_of, self._clock())))

    def verify(self, token: str, proof: Proof | None = None) -> VerifiedToken:
        """Return the token if it holds now.

        Raises InvalidToken, CannotVerify, Unreadable, or UnknownKey: then newer keys may have an answer.
        """
        if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARACTERS:
            raise InvalidToken("not a string, or too long")
        seen = self._seen  # before the keys are looked at: what old keys found good must not be kept among the new
        known = seen.get(token)
        if known is None:
            known = self._open(token)
            seen.put(token, known)
        if not known.good_from <= self._clock() < known.good_until:
            raise InvalidToken("expired, or not yet valid")
        if known.confirmation is not None:
            require_proof(known.confirmation, proof)
        if self.follows_revocations:
            if self.staleness_seconds() > self._max_staleness:
                raise CannotVerify("what is known of revocations is too old")
            if known.unrevoked_in != self.revocations.version:
                self._look_up(known)
        return known.token

    def _look_up(self, known: Seen) -> None:
        """Raise InvalidToken if the token was revoked; else there is no need to look again until there is news."""
        copy = self.revocations
        version, as_of = copy.version, copy.as_of  # before the look: the copy may get newer meanwhile
        if copy.is_revoked(known.token, known.token_id):
            raise InvalidToken("revoked")
        if known.token.as_of != as_of:
            known.token = replace(known.token, as_of=as_of)
        known.unrevoked_in = version

    def staleness_seconds(self) -> float:
        """Return how long ago everything that was revoked was known here; infinite before the first answer."""
        known_at = self.revocations.known_at
        return float("inf") if known_at is None else self._monotonic() - known_at

    def knows_too_little(self) -> bool:
        """Tell whether what is known of revocations is too old to let anybody in."""
        return self.staleness_seconds() > self._max_staleness

    def _open(self, token: str) -> Seen:
        """Return what the token says if its signature is good; raise InvalidToken, Unreadable or UnknownKey."""
        if not token.isascii():
            raise InvalidToken("not ASCII")
        try:
            return self._read(token)
        except UnknownKey:
            raise
        except UntrustedToken as fault:
            raise Unreadable(fault.reason) from None
        except Exception as error:  # noqa: BLE001 - a hostile token must not reach the service as an exception
            raise Unreadable(f"unexpected {type(error).__name__}") from None

    def _read(self, token: str) -> Seen:
        keys = self.keys
        if keys is None:
            raise UnknownKey("no keys are held yet")
        payload, kid = open_compact(token, keys.find)
        keys.remember(token)
        claims = read_object(payload, "payload")
        try:
            verified = read_claims(claims, self.config, kid=kid, as_of=self.revocations.as_of)
        except UntrustedToken as fault:
            self._tell(fault.reason)
            raise
        return Seen(
            verified,
            good_from=not_before(verified) - self._leeway,
            good_until=verified.expires_at + self._leeway,
            confirmation=read_confirmation(verified.claims),
        )

    def _tell(self, reason: str) -> None:
        """Warn of a token with a good signature that is not for here, once of each kind: it is often a mistake."""
        if reason not in self._told:
            self._told.add(reason)
            with contextlib.suppress(Exception):  # a log handler that breaks changes no answer
                _log.warning("a token of the issuer is refused: %s. Is the verifier configuration old?", reason)


def require_proof(confirmation: Mapping[str, Json], proof: Proof | None) -> None:
    """Raise InvalidToken unless `proof` returns exactly True for the key of a `cnf` claim (RFC 7800 §3.1)."""
    try:
        holds = proof is not None and proof(confirmation)
    except Exception as error:
        raise InvalidToken(f"the proof of its key failed with {type(error).__name__}") from error
    if holds is not True:  # a coroutine would pass for yes
        raise InvalidToken("bound to a key that the caller has not proved to hold")


def require_scopes(token: VerifiedToken, *, all_of: Iterable[str], any_of: Iterable[str]) -> None:
    """Raise InsufficientScope unless the token has each of `all_of`, and one of `any_of` if any are named.

    Raises InvalidToken for one that is asked for a scope and says nothing of scopes (RFC 9068 §2.2.3).
    """
    if all_of is NO_SCOPES and any_of is NO_SCOPES:  # the usual case, which need not be looked at
        return
    needed = scope_names(all_of)
    choice = scope_names(any_of) if needed else choice_names(any_of)
    if token.scopes.issuperset(needed) and not (choice and token.scopes.isdisjoint(choice)):
        return
    if not token.scope:
        raise InvalidToken("without any scope")
    raise InsufficientScope("not enough scope", scope=" ".join((*needed, *choice)))


class Seen:
    """A token whose signature and shape are good, with what each check needs of it at hand.

    Times include the leeway. `unrevoked_in` is the version of the RevocationCopy that was looked at last.
    """

    __slots__ = ("confirmation", "good_from", "good_until", "token", "token_id", "unrevoked_in")

    def __init__(
        self, token: VerifiedToken, *, good_from: int, good_until: int, confirmation: Mapping[str, Json] | None
    ) -> None:
        self.token = token
        self.token_id = token_id_bytes(token.jti)
        self.good_from = good_from
        self.good_until = good_until
        self.confirmation = confirmation
        self.unrevoked_in = -1


class SeenTokens:
    """A bounded memory in two generations: what is used moves to the young one, the old one is dropped whole.

    It knows tokens by their text, which the process holds anyway while they are used: to find one by a digest would
    take a busy service several times as long. Each step is one operation of a dict, so that many threads may read and
    write without a lock.
    """

    def __init__(self, entries: int) -> None:
        """Hold up to `entries`."""
        self._half = max(entries // 2, 1)
        self._young: dict[str, Seen] = {}
        self._old: dict[str, Seen] = {}

    def get(self, token: str) -> Seen | None:
        """Return what was kept of a token."""
        known = self._young.get(token)
        if known is None:
            known = self._old.get(token)
            if known is not None:
                self.put(token, known)
        return known

    def put(self, token: str, seen: Seen) -> None:
        """Keep an entry."""
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[token] = seen
