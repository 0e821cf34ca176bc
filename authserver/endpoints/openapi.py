"""The OpenAPI document, `GET /openapi.json`."""

from __future__ import annotations

from collections.abc import Callable

from authserver.wire.answers import encode_json
from authserver.wire.http import JSON, Answer, Request
from authserver.wire.public import PUBLIC_CORS


class OpenApiEndpoint:
    """Publishes the description of every operation, made when somebody first asks for it."""

    methods = frozenset({"GET", "HEAD"})

    def __init__(self, *, document: Callable[[], object]) -> None:
        """Describe what `document` returns."""
        self._document = document
        self._answer: Answer | None = None

    async def __call__(self, request: Request) -> Answer:  # noqa: ARG002
        """Answer with the document."""
        if self._answer is None:
            cache = (b"cache-control", b"public, max-age=300")
            self._answer = Answer(200, encode_json(self._document()), (JSON, PUBLIC_CORS, cache))
        return self._answer
