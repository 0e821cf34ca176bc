"""What a refused caller is told, word for word (RFC 6750 §3)."""

from __future__ import annotations

import copy
import pickle

import pytest

from authserver.resource_server.errors import (
    CannotVerify,
    InsufficientScope,
    InvalidToken,
    MalformedRequest,
    MissingToken,
    Refusal,
)

ROWS: list[tuple[Refusal, int, str]] = [
    (MissingToken("why"), 401, 'Bearer realm="access"'),
    (
        MalformedRequest("why"),
        400,
        (
            'Bearer error="invalid_request", '
            'error_description="The access token must be sent once, in the Authorization header."'
        ),
    ),
    (
        InvalidToken("why"),
        401,
        'Bearer error="invalid_token", error_description="The access token is not valid here."',
    ),
    (
        InsufficientScope("why", scope="read write"),
        403,
        (
            'Bearer error="insufficient_scope", error_description="The access token does not allow this.", '
            'scope="read write"'
        ),
    ),
]


@pytest.mark.parametrize(("refusal", "status", "challenge"), ROWS)
def test_the_challenge(refusal: Refusal, status: int, challenge: str) -> None:
    """RFC 6750 §3: scheme and at least one parameter; §3.1: no error where no token was sent."""
    assert refusal.status == status
    assert refusal.headers() == (("WWW-Authenticate", challenge), ("Cache-Control", "no-store"))


def test_realm_and_metadata_go_around() -> None:
    """RFC 9728 §5.1: where the resource describes itself comes last; a realm first."""
    url = "https://orders.example/.well-known/oauth-protected-resource"
    given = {"realm": "orders", "resource_metadata": url}
    assert MissingToken("why").headers(**given)[0][1] == f'Bearer realm="orders", resource_metadata="{url}"'
    assert MissingToken("why").headers(resource_metadata=url)[0][1] == f'Bearer resource_metadata="{url}"'
    both = InvalidToken("why").headers(**given)[0][1]
    assert both.startswith('Bearer realm="orders", error="invalid_token", ')
    assert both.endswith(f', resource_metadata="{url}"')


def test_who_cannot_be_judged_is_not_challenged() -> None:
    """503 says when to come again, and nothing of tokens: another one would be no better."""
    for given in ({}, {"realm": "orders", "resource_metadata": "https://x"}):
        assert CannotVerify("why").headers(**given) == (("Retry-After", "1"), ("Cache-Control", "no-store"))
    assert CannotVerify("why").status == 503


@pytest.mark.parametrize("refusal", [*(row[0] for row in ROWS), CannotVerify("why")])
def test_the_body(refusal: Refusal) -> None:
    """The body has error and description; the reason is for the operator."""
    error = refusal.error or "invalid_token"
    assert refusal.body == {"error": error, "error_description": refusal.description}
    assert "why" not in repr((refusal.body, refusal.headers()))
    assert (str(refusal), refusal.reason) == ("why", "why")
    assert refusal.description.isascii()
    assert not {'"', "\\"} & set(refusal.description)


@pytest.mark.parametrize("refusal", [*(row[0] for row in ROWS), CannotVerify("why")])
def test_refusals_cross_processes(refusal: Refusal) -> None:
    """A process pool hands on what its workers raise: the same answer, with the same scopes."""
    for copied in (pickle.loads(pickle.dumps(refusal)), copy.copy(refusal)):  # noqa: S301 - our own
        assert (type(copied), vars(copied), copied.headers()) == (type(refusal), vars(refusal), refusal.headers())
