"""Audience and scope, decided from values alone (RFC 8707 §2, RFC 6749 §3.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.core.errors import InvalidScope, InvalidTarget
from authserver.core.resource import Resource
from authserver.core.scope import expand
from authserver.oauth.target import choose_audience, choose_scope
from tests.oauth.subjects import API, OTHER, a_client, a_resource

DEFAULT = "https://as.example"
NAMES = ("admin", "write", "read", "list", "other")


@pytest.mark.parametrize(
    ("audiences", "default_audience", "requested", "expected"),
    [
        ((API, OTHER), None, (), API),
        ((API, OTHER), OTHER, (), OTHER),
        ((API, OTHER), OTHER, (API,), API),
        ((API, OTHER), None, (OTHER, OTHER), OTHER),
        ((), None, (), DEFAULT),
        ((), None, (DEFAULT,), DEFAULT),
    ],
)
def test_the_audience_is_named_or_the_default(
    audiences: tuple[str, ...], default_audience: str | None, requested: tuple[str, ...], expected: str
) -> None:
    """RES-02, RES-07: what was named if allowed, else the client's default, its first, or the server's."""
    client = a_client(audiences=audiences, default_audience=default_audience)
    assert choose_audience(client, requested, default=DEFAULT) == expected


@pytest.mark.parametrize(
    ("audiences", "requested"),
    [
        ((API,), (OTHER,)),
        ((API,), (DEFAULT,)),
        ((API,), ("c1",)),
        ((), (API,)),
        ((API, OTHER), (API, OTHER)),
        ((API,), (API, OTHER)),
        ((API,), (API + "/",)),
        ((API,), ("",)),
    ],
)
def test_any_other_audience_is_refused(audiences: tuple[str, ...], requested: tuple[str, ...]) -> None:
    """RES-02, RES-03: nothing that is not allowed, and nothing beside what is."""
    with pytest.raises(InvalidTarget):
        choose_audience(a_client(audiences=audiences), requested, default=DEFAULT)


def _choose(requested: str | None, scope: str, resource: Resource | None = None, default: str | None = None) -> str:
    client = a_client(scope=tuple(scope.split()), default_scope=None if default is None else tuple(default.split()))
    inclusion = resource.inclusion() if resource else {}
    return " ".join(choose_scope(client, requested, resource=resource, inclusion=inclusion))


LADDER = a_resource(admin=("write",), write=("read",), read=("list",), list=())


@pytest.mark.parametrize(
    ("requested", "scope", "resource", "default", "expected"),
    [
        ("read", "read write", None, None, "read"),
        ("write read", "read write", None, None, "write read"),
        ("read read", "read", None, None, "read"),
        (None, "read write", None, None, "read write"),
        (None, "read write", None, "write", "write"),
        (None, "read write", None, "", ""),
        ("", "read write", None, None, ""),
        ("read", "write", LADDER, None, "read"),
        ("list", "admin", LADDER, None, "list"),
        (None, "admin", LADDER, None, "admin"),
        (None, "write elsewhere", LADDER, None, "write"),
        (None, "elsewhere", LADDER, None, ""),
        ("anything", "anything", a_resource(), None, "anything"),
    ],
)
def test_the_scope_is_what_was_asked_for_or_the_default(
    requested: str | None, scope: str, resource: Resource | None, default: str | None, expected: str
) -> None:
    """TOK-22, RES-06: exactly what was asked for when it is granted; the default set when nothing was asked for."""
    assert _choose(requested, scope, resource, default) == expected


@pytest.mark.parametrize(
    ("requested", "scope", "resource"),
    [
        ("admin", "read write", None),
        ("read admin", "read write", None),
        ("read", "write", None),
        ("write", "read", LADDER),
        ("elsewhere", "write elsewhere", LADDER),
        ("read", "", None),
        ("read  write", "read write", None),
        ('re"ad', "read", None),
    ],
)
def test_more_is_refused(requested: str, scope: str, resource: Resource | None) -> None:
    """TOK-21, RES-06: beyond the grant, above the grant or unknown to the resource: an error, never less."""
    with pytest.raises(InvalidScope):
        _choose(requested, scope, resource)


_NAME = st.sampled_from(NAMES)
_SETS = st.frozensets(_NAME)


@given(
    includes=st.dictionaries(_NAME, st.lists(_NAME, max_size=3).map(tuple), max_size=5),
    scope=_SETS,
    default=st.none() | _SETS,
    requested=st.none() | st.lists(_NAME, min_size=1),
)
def test_no_request_gets_more_than_was_granted(
    includes: dict[str, tuple[str, ...]],
    scope: frozenset[str],
    default: frozenset[str] | None,
    requested: list[str] | None,
) -> None:
    """TOK-21, RES-06: whatever includes what, in circles too, a token holds only what the client was granted."""
    resource = a_resource(**includes)
    client = a_client(scope=tuple(scope), default_scope=None if default is None else tuple(default))
    text = None if requested is None else " ".join(requested)
    try:
        granted = choose_scope(client, text, resource=resource, inclusion=resource.inclusion())
    except InvalidScope:
        assert requested is not None
        return
    assert frozenset(granted) <= expand(scope, resource.inclusion())
    assert not includes or frozenset(granted) <= frozenset(includes)
    assert requested is None or frozenset(granted) == frozenset(requested)
