"""A resource on our server, and what its resource server needs to check tokens by itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.own_server import admin_authorization, create_clients
from tests.benchmarks.server import AUDIENCE, JSON, Client, Connection, Server

# Two claims of one's own, as many have: a token then has some 700 characters.
_CLAIMS = '{"user_id": "user-{{ client.client_id }}", "tenant": "a-tenant-of-the-bench"}'
_SCOPES = [{"name": "read"}, {"name": "write", "includes": ["read"]}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protected:
    """The verifier configuration of a resource, and the credentials of its resource server."""

    document: Mapping[str, Any]
    resource_server: Client

    def arguments(self) -> dict[str, Any]:
        """Return what `from_config` of a verifier takes, as JSON."""
        return {
            "source": self.document,
            "client_id": self.resource_server.client_id,
            "client_secret": self.resource_server.client_secret,
        }

    def arguments_by_way_of(self, port: int) -> dict[str, Any]:
        """Return the same for a verifier that reaches the server through another port."""
        issuer = self.document["issuer"]
        detour = f"{issuer.rpartition(':')[0]}:{port}"
        document = {
            name: value.replace(issuer, detour) if name.endswith(("_uri", "_endpoint")) else value
            for name, value in self.document.items()
        }
        return {**self.arguments(), "source": document}


def protect(data: Path, server: Server) -> Protected:
    """Register the resource of the bench at `server`, which runs on the folder `data`, and its resource server."""
    (resource_server,) = create_clients(data, server, 1)
    authorization = admin_authorization(data)
    wanted = {"identifier": AUDIENCE, "scopes": _SCOPES, "resource_servers": [resource_server.client_id]}
    with Connection(server.port) as connection:
        connection.send("PUT", "/admin/v1/claims-template", authorization, JSON, json.dumps({"template": _CLAIMS}))
        resource = connection.post("/admin/v1/resources", authorization, JSON, json.dumps(wanted))
        path = f"/admin/v1/resources/{resource['resource_id']}/verifier-config"
        document = connection.get(path, authorization)
    return Protected(document=document, resource_server=resource_server)
