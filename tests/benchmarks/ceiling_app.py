"""The least that a Python server can do: read a POST, answer JSON; with --sign, one ES256 signature too.

Run as `python -m tests.benchmarks.ceiling_app --port N [--sign]`.
"""

import argparse
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from tests.benchmarks.processes import LOOPBACK

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# About as long as what our server signs and what it answers.
_SIGNED = b"c" * 450
_ANSWER = b'{"access_token":"' + b"t" * 600 + b'","token_type":"Bearer","expires_in":3600,"scope":"read write"}'
_HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_ANSWER)).encode()),
    (b"cache-control", b"no-store"),
]


class CeilingApp:
    """Answers every request alike, after one ES256 signature if there is a key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | None) -> None:
        """Sign with `key`, or not at all."""
        self._key = key
        self._algorithm = ec.ECDSA(SHA256())

    async def __call__(self, _scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Read the body to its end, then answer."""
        while (await receive()).get("more_body"):
            pass
        if self._key is not None:
            self._key.sign(_SIGNED, self._algorithm)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _ANSWER})


def main() -> None:
    """Serve on loopback with the http parser and the event loop that our server uses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--sign", action="store_true")
    arguments = parser.parse_args()
    app = CeilingApp(ec.generate_private_key(ec.SECP256R1()) if arguments.sign else None)
    uvicorn.run(
        app,
        host=LOOPBACK,
        port=arguments.port,
        http="httptools",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        server_header=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
