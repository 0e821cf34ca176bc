"""The scopes of the management API, which is a resource like any other (`ADMIN_RESOURCE`)."""

from __future__ import annotations

from enum import StrEnum

from authserver.core.scope import close_inclusion


class AdminScope(StrEnum):
    """What an access token for the management API allows. The first migration stores the same names."""

    CLIENTS_READ = "clients:read"
    CLIENTS_WRITE = "clients:write"
    RESOURCES_READ = "resources:read"
    RESOURCES_WRITE = "resources:write"
    CLAIMS_READ = "claims:read"
    CLAIMS_WRITE = "claims:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    REVOCATIONS_READ = "revocations:read"
    REVOCATIONS_WRITE = "revocations:write"
    STATUS_READ = "status:read"


#: Each scope with all that it includes: whoever may write may read. From the code, not from the database,
#: so that no stored row can widen what an administrator may do.
ADMIN_INCLUSION = close_inclusion(
    {
        scope.value: (scope.value.replace(":write", ":read"),) if scope.value.endswith(":write") else ()
        for scope in AdminScope
    }
)
