"""Every route of the sidecar. Each answer says how old the knowledge is that it comes from."""

from __future__ import annotations

from collections.abc import Callable

from authserver.core.errors import NotFound
from authserver.endpoints.forward_auth import FORWARD_AUTH_PATH, ForwardAuthEndpoint
from authserver.endpoints.forward_rules import Rules
from authserver.endpoints.health import LiveEndpoint, MetricsEndpoint, ReadyEndpoint
from authserver.endpoints.metadata import INTROSPECTION_PATH, JWKS_PATH
from authserver.sidecar.introspect import IntrospectionEndpoint
from authserver.sidecar.judge import Judge
from authserver.sidecar.jwks import JwksEndpoint
from authserver.telemetry.metrics import Metrics
from authserver.wire.answers import error_answer
from authserver.wire.door import REQUEST_ID_KEY, FrontDoor, TrustedProxies
from authserver.wire.http import Answer, Endpoint, Receive, Request, Scope, Send
from authserver.wire.response import send_answer
from authserver.wire.stopping import DRAINING

#: Seconds with 3 decimals, `unknown` before the first answer of the revocation feed.
AGE_HEADER = b"x-auth-knowledge-age"


def build_surface(judge: Judge, *, rules: Rules | None, metrics: Metrics, draining: Callable[[], bool]) -> FrontDoor:
    """Return the ASGI application that serves everything; it is not ready while `draining` says so."""

    async def readiness() -> list[str]:
        return [*([DRAINING] if draining() else []), *judge.doubts()]

    forward_auth, nothing = ForwardAuthEndpoint(check=judge.identity, rules=rules), _Nothing()
    table: list[tuple[str, str, Endpoint]] = [
        (FORWARD_AUTH_PATH, "forward_auth", forward_auth),
        (INTROSPECTION_PATH, "introspect", IntrospectionEndpoint(judge=judge)),
        (JWKS_PATH, "jwks", JwksEndpoint(judge=judge)),
        ("/health/live", "live", LiveEndpoint()),
        ("/health/ready", "ready", ReadyEndpoint(check=readiness, losses=judge.staleness_problems)),
        ("/metrics", "metrics", MetricsEndpoint(metrics=metrics)),
    ]
    return FrontDoor(
        table={path.encode(): (name, endpoint) for path, name, endpoint in table},
        prefixes={
            f"{FORWARD_AUTH_PATH}/".encode(): ("forward_auth", forward_auth.below),
            b"/": ("other", lambda _: nothing),
        },
        fallback=_not_found,
        metrics=metrics,
        proxies=TrustedProxies(),
        fields=lambda: ((AGE_HEADER, judge.knowledge_age()),),
    )


class _Nothing:
    """What is behind every other path, whatever the method."""

    methods = None

    async def __call__(self, request: Request) -> Answer:  # noqa: ARG002 - an Endpoint
        raise NotFound


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    """Answer a request target that is no path (RFC 9112 §3.2.4)."""
    await send_answer(send, error_answer(NotFound(), request_id=scope[REQUEST_ID_KEY]))
