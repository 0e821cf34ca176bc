#!/usr/bin/env -S python3 -IS
"""Ask the server in this container for a health page: `healthcheck [/health/live | /health/ready]`.

Exit code 0 when it answers 200, else 1 and one line that says what it answered. Standard library only, so that it
starts in a few hundredths of a second and the image needs no curl.
"""

from __future__ import annotations

import http.client
import os
import sys

PORT = int(os.environ.get("AUTHSERVER_PORT", "8000"))
SECONDS = 2.5


def ask(path: str) -> str | None:
    """Return what is wrong, None when the page answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(1000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{path}: no answer ({type(error).__name__})"
    return None if response.status == http.client.OK else f"{path}: {response.status} {body}"


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1] if len(sys.argv) > 1 else "/health/live"))
