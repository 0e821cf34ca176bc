"""Every operation of the management API, and the routes that serve them."""

from __future__ import annotations

from itertools import groupby

from starlette.routing import Route

from authserver.admin import client_secrets, clients, resources, revocations, signing_keys, status, templates
from authserver.admin.authorize import Authorizer
from authserver.admin.dispatch import AdminEndpoint
from authserver.admin.operation import Operation, Verbs
from authserver.core.ports import AuditSink

OPERATIONS: tuple[Operation, ...] = (
    *clients.OPERATIONS,
    *client_secrets.OPERATIONS,
    *resources.OPERATIONS,
    *templates.OPERATIONS,
    *signing_keys.OPERATIONS,
    *revocations.OPERATIONS,
    *status.OPERATIONS,
)


def admin_routes(*, verbs: Verbs, authorizer: Authorizer, audit: AuditSink) -> list[Route]:
    """Return one route for each path; the endpoint tells the methods apart, and answers 405 to others."""
    ordered = sorted(OPERATIONS, key=_path)
    return [
        Route(path, AdminEndpoint(operations=tuple(group), verbs=verbs, authorizer=authorizer, audit=audit))
        for path, group in groupby(ordered, key=_path)
    ]


def _path(operation: Operation) -> str:
    return operation.description.path
