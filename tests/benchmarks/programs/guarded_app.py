"""A bare Starlette app on uvicorn, with the library's middleware in front of it or without.

Run as `python -m tests.benchmarks.programs.guarded_app --port N [--verifier FILE]`; the file has what `from_config`
takes. Then every request needs the scope `read`, but for /health.
"""

import argparse
import json
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from authserver.resource_server import Verifier
from authserver.resource_server.asgi import App, ResourceServer
from tests.benchmarks.processes import LOOPBACK

HEALTH = "/health"


async def served(_request: Request) -> JSONResponse:
    """Answer."""
    return JSONResponse({"served": True})


def main() -> None:
    """Serve on loopback, one process, with the http parser and the event loop that our server uses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--verifier", type=Path)
    arguments = parser.parse_args()
    app: App = Starlette(routes=[Route("/", served), Route(HEALTH, served)])
    if arguments.verifier is not None:
        verifier = Verifier.from_config(**json.loads(arguments.verifier.read_text(encoding="utf-8")))
        app = ResourceServer(app, verifier=verifier, require="read", except_paths=(HEALTH,))
    uvicorn.run(
        app,
        host=LOOPBACK,
        port=arguments.port,
        http="httptools",
        loop="uvloop",
        access_log=False,
        server_header=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
