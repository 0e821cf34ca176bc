"""What a 200 from the revocation endpoint promises when the process dies right after it (REV-14, CRASH-01)."""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.server import RunningServer, free_port, start_server

#: Each round starts a server anew; the long profile is the one for a quiet machine.
ROUNDS = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 5
CALLERS = 8
TOKENS = 400
KILLED_AFTER = 40


def revoked_until_killed(server: RunningServer, client: dict[str, Any], tokens: list[str]) -> list[str]:
    """Revoke from many threads and kill the server in the middle; return the tokens that were answered 200."""
    confirmed: list[str] = []
    enough = threading.Event()

    def revoke_some(share: list[str]) -> None:
        for token in share:
            try:
                if server.revoke(token, client).status != 200:
                    return
            except (OSError, http.client.HTTPException):
                return  # killed before it could answer
            confirmed.append(token)
            if len(confirmed) >= KILLED_AFTER:
                enough.set()

    with ThreadPoolExecutor(CALLERS) as pool:
        for number in range(CALLERS):
            pool.submit(revoke_some, tokens[number::CALLERS])
        assert enough.wait(20)
        server.stop(signal.SIGKILL)
    return confirmed


def test_rev_14_killed_while_it_answers_200(tmp_path: Path) -> None:
    """REV-14: kill -9 between one 200 and the next, several times on one data directory: each 200 stays true."""
    port = free_port()
    confirmed: list[str] = []
    for number in itertools.count():
        with start_server(tmp_path, port=port) as server:
            if number == 0:
                client = server.create_client()
                kept = server.token(client)
            still_active = [token for token in confirmed if server.introspect(token, client).json()["active"]]
            assert still_active == [], f"round {number}"
            assert server.introspect(kept, client).json()["active"] is True
            if number == ROUNDS:
                return
            tokens = [server.token(client) for _ in range(TOKENS)]
            confirmed = revoked_until_killed(server, client, tokens)
            assert KILLED_AFTER <= len(confirmed) < TOKENS


def test_rev_14_watermarks_are_durable_too(tmp_path: Path) -> None:
    """REV-14: a watermark that was answered 201 is in force after kill -9, and refuses no later token."""
    port = free_port()
    with start_server(tmp_path, port=port) as server:
        client = server.create_client()
        token = server.token(client)
        body = {"kind": "subject", "value": client["client_id"]}
        assert server.admin("POST", "/revocations", body).status == 201
        server.stop(signal.SIGKILL)
    with start_server(tmp_path, port=port) as server:
        assert server.introspect(token, client).json() == {"active": False}
        assert server.introspect(server.token(client), client).json()["active"] is True
