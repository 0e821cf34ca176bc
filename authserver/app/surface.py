"""Every route of the server, in one place."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.routing import Router

from authserver.admin.authorize import BearerAuthorizer
from authserver.admin.problem import problem_answer
from authserver.admin.routes import admin_routes
from authserver.app.description import describe
from authserver.app.readiness import losses, readiness, register_gauges
from authserver.app.runtime import VERSION, Runtime
from authserver.core.errors import NotFound
from authserver.endpoints.forward_auth import FORWARD_AUTH_PATH, ForwardAuthEndpoint
from authserver.endpoints.forward_rules_file import read_rules
from authserver.endpoints.health import LiveEndpoint, MetricsEndpoint, ReadyEndpoint
from authserver.endpoints.introspect import IntrospectionEndpoint
from authserver.endpoints.jwks import JwksEndpoint
from authserver.endpoints.metadata import (
    AUTHORIZATION_PATH,
    INTROSPECTION_PATH,
    JWKS_PATH,
    REVOCATION_PATH,
    REVOCATIONS_PATH,
    TOKEN_PATH,
    AuthorizationEndpoint,
    MetadataEndpoint,
    metadata_paths,
)
from authserver.endpoints.openapi import OpenApiEndpoint
from authserver.endpoints.revocations import RevocationsEndpoint
from authserver.endpoints.revoke import RevocationEndpoint
from authserver.endpoints.token import TokenEndpoint
from authserver.endpoints.verifier_config import VERIFIER_CONFIG_PATH, VerifierConfigEndpoint
from authserver.tokens.forward import ForwardedTokenCheck
from authserver.tokens.standing import AdminTokenCheck
from authserver.wire.door import REQUEST_ID_KEY, FrontDoor, TrustedProxies
from authserver.wire.http import Endpoint, Receive, Scope, Send
from authserver.wire.response import send_answer


def build_surface(runtime: Runtime, *, draining: Callable[[], bool] = lambda: False) -> FrontDoor:
    """Return the ASGI application that serves everything; it is not ready while `draining` says so."""
    c = runtime.capabilities
    register_gauges(c)
    forward_auth = _forward_auth(runtime)
    endpoints = [*_endpoints(runtime, draining), (FORWARD_AUTH_PATH, "forward_auth", forward_auth)]
    return FrontDoor(
        table={path.encode(): (name, endpoint) for path, name, endpoint in endpoints},
        prefixes={f"{FORWARD_AUTH_PATH}/".encode(): ("forward_auth", forward_auth.below)},
        fallback=Router(
            admin_routes(
                verbs=runtime.administration,
                authorizer=BearerAuthorizer(
                    admin_tokens=c.admin_tokens, check=AdminTokenCheck(standing=runtime.tokens.standing)
                ),
                audit=c.audit,
            ),
            redirect_slashes=False,
            default=_not_found,
        ),
        metrics=c.metrics,
        proxies=TrustedProxies(c.settings.trusted_proxies),
    )


def _endpoints(runtime: Runtime, draining: Callable[[], bool]) -> list[tuple[str, str, Endpoint]]:
    """Return path, name and endpoint of everything outside of the management API."""
    c, tokens = runtime.capabilities, runtime.tokens
    max_age_seconds = c.settings.jwks_max_age_seconds
    metadata = MetadataEndpoint(issuer=c.issuer, max_age_seconds=max_age_seconds)
    advertised: list[tuple[str, str, Endpoint]] = [
        (TOKEN_PATH, "token", TokenEndpoint(issuer=tokens.issuer, metrics=c.metrics)),
        (INTROSPECTION_PATH, "introspect", IntrospectionEndpoint(introspector=tokens.introspector)),
        (REVOCATION_PATH, "revoke", RevocationEndpoint(revoker=tokens.revoker)),
        (REVOCATIONS_PATH, "revocations", RevocationsEndpoint(feed=tokens.feed, epoch=c.epoch)),
        (VERIFIER_CONFIG_PATH, "verifier_config", VerifierConfigEndpoint(setup=tokens.verifier_setup)),
        (AUTHORIZATION_PATH, "authorize", AuthorizationEndpoint()),
        (JWKS_PATH, "jwks", JwksEndpoint(keys=c.keys, max_age_seconds=max_age_seconds)),
    ]
    # An issuer with a path is advertised with it; a proxy in front may strip it or not.
    prefix = urlsplit(c.issuer).path.rstrip("/")
    return [
        *advertised,
        *((prefix + path, name, endpoint) for path, name, endpoint in advertised if prefix),
        *((path, "metadata", metadata) for path in metadata_paths(c.issuer)),
        ("/health/live", "live", LiveEndpoint()),
        ("/health/ready", "ready", ReadyEndpoint(check=readiness(c, draining), losses=losses(c))),
        ("/metrics", "metrics", MetricsEndpoint(metrics=c.metrics)),
        ("/openapi.json", "openapi", OpenApiEndpoint(document=lambda: describe(issuer=c.issuer, version=VERSION))),
    ]


def _forward_auth(runtime: Runtime) -> ForwardAuthEndpoint:
    c = runtime.capabilities
    path = c.settings.forward_auth_rules
    return ForwardAuthEndpoint(
        check=ForwardedTokenCheck(standing=runtime.tokens.standing, resources=c.resources),
        rules=read_rules(path) if path is not None else None,
    )


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    answer = problem_answer(NotFound(), request_id=scope[REQUEST_ID_KEY], authenticated=False)
    await send_answer(send, answer)
