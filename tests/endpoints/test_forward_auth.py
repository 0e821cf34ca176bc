"""Forward-auth over another judgement than the server's own, as a sidecar has one."""

from __future__ import annotations

import asyncio
import re

import pytest

from authserver.core.errors import (
    AccessDenied,
    AuthServerError,
    InsufficientScope,
    InvalidRequest,
    InvalidToken,
    TemporarilyUnavailable,
)
from authserver.core.identity import Identity
from authserver.endpoints.forward_auth import ForwardAuthEndpoint
from authserver.wire.http import Answer, Request

IDENTITY = Identity(
    client_id="cl", subject="sub", workspace_id="ws", scope="read", scopes=frozenset({"read"}), claims={}
)


def ask(
    outcome: Identity | AuthServerError, query: bytes = b"", *, below: bytes | None = None, uri: bytes | None = None
) -> Answer:
    """Ask with a token about which the judgement has this to say; with `below`, in Envoy's way; `uri`, in Caddy's."""

    async def check(token: str, resource: str | None) -> Identity:
        assert (token, resource) == ("token", None)
        if isinstance(outcome, AuthServerError):
            raise outcome
        return outcome

    async def receive() -> dict[str, object]:
        raise NotImplementedError

    endpoint = ForwardAuthEndpoint(check=check)
    headers = [(b"authorization", b"Bearer token"), *([] if uri is None else [(b"x-forwarded-uri", uri)])]
    request = Request("GET", headers, query, receive, "192.0.2.1", {})
    return asyncio.run((endpoint if below is None else endpoint.below(below))(request))


def test_knowledge_without_an_age() -> None:
    """Who knows all says nothing of an age."""
    answer = ask(IDENTITY)
    assert (answer.status, b"x-auth-knowledge-age" in dict(answer.headers)) == (204, False)


@pytest.mark.parametrize(
    ("error", "challenge"),
    [
        (InvalidToken("why"), b'Bearer realm="authserver", error="invalid_token"'),
        (InsufficientScope("why"), b'Bearer realm="authserver", error="insufficient_scope", scope="read"'),
    ],
)
def test_refusals(error: InvalidToken | InsufficientScope, challenge: bytes) -> None:
    """RFC 6750 §3.1: whatever the judgement finds wrong is a challenge."""
    answer = ask(error, b"scope=read")
    assert (answer.status, dict(answer.headers)[b"www-authenticate"]) == (error.status, challenge)


@pytest.mark.parametrize(
    "query", [b"scope=admin", b"a=b&resource=x", b"any_scope", b"claims=user_id&a=b", b"sc%6fpe=a"]
)
def test_parameters_behind_a_slash_too_many(query: bytes) -> None:
    """A proxy that is told `/forward-auth/?scope=` would have nothing judged but the token: it is refused."""
    with pytest.raises(InvalidRequest, match="without the slash"):
        ask(IDENTITY, query, below=b"/")


@pytest.mark.parametrize(
    ("query", "uri"),
    [
        (b"resource=b", b"/a?resource=b"),
        (b"resource=b", b"/a?resource=b#c"),
        (b"scope=%72ead&claims=x", b"/?scope=%72ead&claims=x"),
        (b"page=2", b"/a?page=2"),
        (b"a=\xe9", b"/a?a=\xe9"),
        (b"?scope=read", b"/a??scope=read"),
    ],
)
def test_parameters_of_the_client(query: bytes, uri: bytes) -> None:
    """A proxy that changes the path alone would have the client say for which resource its token must be."""
    with pytest.raises(InvalidRequest, match=re.escape("uri /forward-auth?")):
        ask(IDENTITY, query, uri=uri)


@pytest.mark.parametrize(
    ("query", "uri"),
    [
        *((b"", b"/a?scope=admin"), (b"", b"/a?"), (b"scope=read", b""), (b"scope=read", b"/a")),
        *((b"scope=read", b"/a?scope=admin"), (b"scope=read", b"/a?scope=read&b=c"), (b"scope=read", b"/scope=read")),
    ],
)
def test_parameters_of_the_proxy(query: bytes, uri: bytes) -> None:
    """Beside the proxy's own query, or none, the client may write what he likes into his."""
    assert ask(IDENTITY, query, uri=uri).status == 204


@pytest.mark.parametrize(("query", "below"), [(b"", b"/"), (b"page=2", b"/"), (b"scope=admin", b"/orders/")])
def test_queries_of_clients(query: bytes, below: bytes) -> None:
    """In Envoy's way the query is the client's, who may write what he likes below a path."""
    assert ask(IDENTITY, query, below=below).status == 200


@pytest.mark.parametrize("error", [AccessDenied("why"), TemporarilyUnavailable("why")])
def test_other_errors_are_the_doors(error: AuthServerError) -> None:
    """What is no matter of the token is rendered like everywhere else."""
    with pytest.raises(type(error)):
        ask(error)
