"""What the settings say of uvicorn."""

from __future__ import annotations

import uvicorn

from authserver.settings import Settings
from authserver.wire.door import FrontDoor
from authserver.wire.request_head import Limits
from authserver.wire.server import configuration


def server_configuration(settings: Settings, application: FrontDoor) -> uvicorn.Config:
    """Return what uvicorn is told."""
    limits = Limits(
        header_seconds=settings.request_seconds,
        body_seconds=settings.request_seconds,
        idle_seconds=settings.request_seconds,
        max_connections=settings.max_connections,
        max_requests=settings.max_requests,
    )
    return configuration(
        application,
        limits=limits,
        grace_seconds=settings.shutdown_grace_seconds,
        host=settings.host,
        port=settings.port,
    )
