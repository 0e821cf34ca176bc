"""For FastAPI, beside the middleware of `asgi.py`: a dependency that the OpenAPI document shows as a bearer token.

    from authserver.resource_server.fastapi import ResourceServer, require

    app.add_middleware(ResourceServer, verifier=Verifier.from_config(…))

    @app.get("/orders")
    async def orders(token: Annotated[VerifiedToken, Depends(require("read"))]) -> Orders: …

A refusal is answered wherever the middleware stands, as that of `starlette.py` is.
"""

# Without `from __future__ import annotations`: FastAPI reads those of a callable object as they stand.

from collections.abc import Collection

from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from authserver.resource_server import starlette
from authserver.resource_server.asgi import ResourceServer
from authserver.resource_server.demands import NO_SCOPES, ScopeNames, choice_names, scope_names
from authserver.resource_server.token import VerifiedToken

__all__ = ["BearerRequirement", "ResourceServer", "require"]


def require(all_of: Collection[str] = NO_SCOPES, *, any_of: Collection[str] = NO_SCOPES) -> "BearerRequirement":
    """Return a dependency that gives the caller's token if it has these scopes; see `starlette.require`.

    Those that ask for the same are equal: a request is asked once, and `app.dependency_overrides` finds them.
    """
    return BearerRequirement(scope_names(all_of), choice_names(any_of))


class BearerRequirement(SecurityBase):
    """What a route asks of its caller, as a security scheme."""

    def __init__(self, all_of: ScopeNames, any_of: ScopeNames) -> None:
        self._demand = (all_of, any_of)
        self._requirement = starlette.require(all_of, any_of=any_of)
        self.model = HTTPBearer(bearerFormat="JWT")
        self.scheme_name = "bearer"

    async def __call__(self, connection: HTTPConnection) -> VerifiedToken:
        """Return the token, or raise a Refusal."""
        return await self._requirement(connection)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BearerRequirement) and other._demand == self._demand

    def __hash__(self) -> int:
        return hash(self._demand)
