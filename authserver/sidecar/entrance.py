"""How many connections are held at once, whatever their number outside: each takes memory before it is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import uvicorn

from authserver.wire.request_head import refusal

_TOO_MANY = refusal(HTTPStatus.SERVICE_UNAVAILABLE, ())


class Entrance(asyncio.Protocol):
    """Lets a connection in while fewer than `most` are held; tells others 503 and closes them, unread."""

    def __init__(self, *, held: Callable[[], int], most: int, protocol: Callable[[], asyncio.Protocol]) -> None:
        """`protocol` makes what serves one connection, which `held` counts from then on."""
        self._held = held
        self._most = most
        self._protocol = protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Decide only now: of a crowd, all are accepted before the first is counted."""
        connection = cast("asyncio.Transport", transport)
        if self._held() >= self._most:
            connection.write(_TOO_MANY)
            connection.close()
            return
        protocol = self._protocol()
        connection.set_protocol(protocol)
        protocol.connection_made(connection)


def bound_connections(config: uvicorn.Config, *, most: int) -> uvicorn.Config:
    """Return `config` with no more than `most` connections held, those that are told 503 at their request included."""
    serving = cast("Callable[..., asyncio.Protocol]", config.http)

    def entrance(**given: Any) -> asyncio.Protocol:  # by what uvicorn gives to a protocol
        state = given["server_state"]
        return Entrance(held=lambda: len(state.connections), most=most, protocol=partial(serving, **given))

    config.http = cast("type[asyncio.Protocol]", entrance)
    return config
