"""Stopping: whoever is being answered is answered to the end, then the process ends with 0."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.server import FORM, RunningServer, basic, credentials, start_server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_under_load(tmp_path: Path, number: signal.Signals) -> None:
    """CRASH-03: a signal under load ends with 0; whoever was being answered gets the whole answer, none is broken."""
    with start_server(tmp_path) as server:
        client = server.create_client()
        head = f"POST /oauth2/token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: 29\r\n"
        head += f"Authorization: {basic(*credentials(client))}\r\n\r\ngrant_type="
        with under_load(server, client) as statuses, socket.create_connection(("127.0.0.1", server.port), 10) as peer:
            peer.sendall(head.encode())
            time.sleep(0.3)
            server.process.send_signal(number)
            time.sleep(0.3)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", server.port), 1)
            peer.sendall(b"client_credentials")
            answer = b"".join(iter(lambda: peer.recv(65536), b""))
            assert server.process.wait(12) == 0
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["access_token"]
    assert len(statuses) > 20
    assert set(statuses) == {200}
    log = server.log_file.read_text()
    assert '"event":"server.stopped"' in log
    assert '"level":"error"' not in log


@contextlib.contextmanager
def under_load(server: RunningServer, client: Mapping[str, str]) -> Iterator[list[int]]:
    """Ask for tokens on four connections until they end; yield the statuses, -1 for an answer cut short."""
    statuses: list[int] = []
    headers = {"Content-Type": FORM, "Authorization": basic(*credentials(client))}

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        with contextlib.suppress(ConnectionError), contextlib.closing(connection):
            while True:
                connection.request("POST", "/oauth2/token", "grant_type=client_credentials", headers)
                response = connection.getresponse()
                try:
                    json.loads(response.read())
                    statuses.append(response.status)
                except (http.client.IncompleteRead, ValueError):
                    statuses.append(-1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    yield statuses
    for thread in threads:
        thread.join()
