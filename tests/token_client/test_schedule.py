"""When a token is renewed and when a server is asked again, for every lifetime and every jitter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.token_client import Token, TokenUnavailable
from authserver.token_client.schedule import (
    BACKOFF_FIRST_MS,
    BACKOFF_MAX_MS,
    REJECTION_INTERVAL_MS,
    REJECTIONS_AT_ONCE,
    RETRY_AFTER_MAX_MS,
    Held,
    Step,
    after_failure,
    after_rejection,
    after_success,
    good_until_ms,
    next_step,
    renew_at_ms,
)

jitters = st.floats(0, 1, exclude_max=True)
moments = st.integers(0, 2**50)
lifetimes = st.integers(1, 31_536_000_000)


@pytest.mark.parametrize(
    ("lifetime_seconds", "earliest", "latest"),
    [(3600, 2880, 3240), (60, 44, 50), (20, 10, 12), (5, 2.5, 3), (1, 0.5, 0.6)],
)
def test_renewal_begins_at_80_to_90_percent_or_ten_seconds_before(
    lifetime_seconds: int, earliest: float, latest: float
) -> None:
    """A short lifetime leaves at least ten seconds, or 40 % of it."""
    token = Token("t", 0, lifetime_seconds * 1000)
    assert renew_at_ms(token, 0) == latest * 1000
    assert renew_at_ms(token, 1) == earliest * 1000


@given(moments, lifetimes, jitters)
def test_property_a_token_is_used_then_renewed_then_given_up(asked_at: int, lifetime: int, jitter: float) -> None:
    """The three moments come in this order, whatever the lifetime, and none is after the expiry."""
    token = Token("t", asked_at, lifetime)
    held = after_success(Held(0), token, jitter)
    assert asked_at <= renew_at_ms(token, jitter) <= good_until_ms(token) <= asked_at + lifetime
    assert next_step(held, good_until_ms(token)) is Step.FETCH
    if renew_at_ms(token, jitter) < good_until_ms(token):
        assert next_step(held, renew_at_ms(token, jitter)) is Step.RENEW
    if asked_at < renew_at_ms(token, jitter):
        assert next_step(held, renew_at_ms(token, jitter) - 1) is Step.USE


@given(moments, st.none() | st.integers(0, 10**12), st.integers(0, 10_000), jitters)
def test_property_a_server_that_failed_is_left_alone(
    now: int, retry_after: int | None, failures: int, j: float
) -> None:
    """Not asked before Retry-After, of an hour at most, nor before the backoff, of a minute at most; then asked."""
    error = TokenUnavailable("away", retry_after_seconds=retry_after)
    held = after_failure(Held(0, failures=failures), error, now, j)
    wait = held.retry_at_ms - now
    asked = min((retry_after or 0) * 1000, RETRY_AFTER_MAX_MS)
    assert max(asked, BACKOFF_FIRST_MS / 2) <= wait <= max(asked * 1.1, BACKOFF_MAX_MS)
    assert next_step(held, held.retry_at_ms - 1) is Step.FAIL
    assert next_step(held, held.retry_at_ms) is Step.FETCH
    assert 0 <= held.retry_after_seconds(held.retry_at_ms - 1) <= 1


@given(moments, st.integers(0, 60), jitters)
def test_property_the_backoff_doubles_up_to_a_minute(now: int, failures: int, jitter: float) -> None:
    """Between half and all of 0.5 s, 1 s, 2 s … 60 s."""
    held = Held(0)
    for _ in range(failures + 1):
        held = after_failure(held, TokenUnavailable("away"), now, jitter)
    full = min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2**failures)
    assert int(full / 2) <= held.retry_at_ms - now <= full


@given(moments, lifetimes, jitters)
def test_property_a_failure_keeps_a_good_token_and_success_ends_the_pause(now: int, lifetime: int, j: float) -> None:
    """The token is used through all failures until it expires; a new one makes them forgotten."""
    token = Token("t", now, lifetime)
    failed = after_failure(Held(0, token), TokenUnavailable("away", retry_after_seconds=10**6), now, j)
    assert failed.token is token
    expected = Step.USE if now < good_until_ms(token) else Step.FAIL
    assert next_step(failed, now) is expected
    last = max(now, min(good_until_ms(token), failed.retry_at_ms) - 1)
    assert next_step(failed, last) is expected, "no renewal in the pause"
    renewed = after_success(failed, Token("u", now, 3_600_000), j)
    assert (renewed.failures, renewed.error, next_step(renewed, now)) == (0, None, Step.USE)


def test_rejections_cause_a_few_renewals_at_once_then_one_in_each_interval() -> None:
    """Five at once; then every twenty seconds, however many come."""
    held, renewals = Held(0), 0
    for now in range(0, 10 * REJECTION_INTERVAL_MS, 100):
        following = after_rejection(held, now)
        if following is not None:
            held, renewals = following, renewals + 1
    assert renewals == REJECTIONS_AT_ONCE + 9


def test_no_renewal_on_rejection_while_the_server_rests() -> None:
    """A 401 of a resource does not shorten the Retry-After of the server."""
    held = after_failure(Held(0), TokenUnavailable("busy", retry_after_seconds=10), 0, 0)
    assert after_rejection(held, 9_999) is None
    assert after_rejection(held, 10_000) is not None
