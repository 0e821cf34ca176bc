"""What a service says when the authorization server refuses it, or is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from authserver.resource_server.config import VerifierConfig
from authserver.resource_server.source import Connection, Source, SourceFailed
from tests.resource_server.scripted import CREDENTIALS, INTROSPECT, Scripted, answer, scripted
from tests.server import free_port


@pytest.fixture
def server() -> Iterator[Scripted]:
    """Run a scripted server."""
    with scripted() as running:
        yield running


def failure(document: object) -> str:
    """Ask for an introspection that fails; return what is said of it."""

    async def ask() -> str:
        source = Source(Connection(**CREDENTIALS, timeout_seconds=1))
        try:
            with pytest.raises(SourceFailed) as caught:
                await source.introspection(VerifierConfig.of(document, allow_http=False), "token")
        finally:
            await source.close()
        return str(caught.value)

    said = asyncio.run(ask())
    assert CREDENTIALS["client_secret"] not in said
    return said


@pytest.mark.parametrize(
    ("status", "words"), [(401, "client id or secret is wrong"), (403, "is no resource server of this audience")]
)
def test_a_refusal_says_what_to_mend(server: Scripted, status: int, words: str) -> None:
    """401 is about the credentials, 403 about what the client is to the resource."""
    server.answers[INTROSPECT] = answer(status, {})
    said = failure(server.document())
    assert f"answers {status}: " in said
    assert words in said


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_server_that_is_not_there_is_named(server: Scripted, host: str) -> None:
    """By its origin alone."""
    origin = f"http://{host}:{free_port()}"
    assert failure(server.document(introspection_endpoint=f"{origin}/introspect?a=b")).endswith(f"asking {origin}")
