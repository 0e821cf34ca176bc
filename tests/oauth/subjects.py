"""Clients and resources for the decisions' tests."""

from __future__ import annotations

from typing import Any

from authserver.core.client import Client
from authserver.core.resource import Resource, ResourceScope
from authserver.oauth.decision import Loaded

API = "https://api.example"
OTHER = "https://other.example"


def a_client(**changes: Any) -> Client:
    """Return a client with the scopes `read write`, some fields changed."""
    fields = {"client_id": "c1", "workspace_id": "default", "client_name": "test", "scope": ("read", "write")}
    return Client(**{**fields, "audiences": (API, OTHER), "created_at": 0, "updated_at": 0, **changes})


def a_resource(**includes: tuple[str, ...]) -> Resource:
    """Return a resource with these scopes, each with what it includes directly."""
    scopes = tuple(ResourceScope(name=name, includes=included) for name, included in includes.items())
    return Resource(resource_id="r1", workspace_id="default", identifier=API, scopes=scopes, created_at=0, updated_at=0)


def loaded(client: Client | None = None, resource: Resource | None = None) -> Loaded:
    """Return what a decision needs to know."""
    inclusion = resource.inclusion() if resource else {}
    return Loaded(client=client or a_client(), resource=resource, inclusion=inclusion)
