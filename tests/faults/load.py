"""Callers at work while something fails: what they were told, how fast, and whether any of it was wrong."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.server import FORM, RunningServer, basic, credentials

Client = Mapping[str, Any]

#: The promise: a 200 means refused by the other instances within half a second.
EVERYWHERE_SECONDS = 0.5


@dataclass
class Tally:
    """What callers were told. `wrong` must stay empty: each line is an answer that a broken part never excuses."""

    introspection_seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    failed_tokens: int = 0
    wrong_invalid_client: int = 0
    revoked_reported_active: int = 0
    acknowledged: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Return how many seconds that `share` of the introspections took at most which were the fastest."""
        ordered = sorted(self.introspection_seconds)
        return ordered[int(len(ordered) * share)] if ordered else 0.0


class Caller:
    """One client on one connection that stays open."""

    def __init__(self, server: RunningServer, client: Client, tally: Tally) -> None:
        """Speak as `client`, note in `tally`."""
        self._server = server
        self._headers = {"Content-Type": FORM, "Authorization": basic(*credentials(client))}
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        self._tally = tally

    def post(self, path: str, **fields: str) -> tuple[int, Any]:
        """Return status and JSON body; a connection that broke is raised as OSError."""
        try:
            self._connection.request("POST", path, urlencode(fields), self._headers)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ConnectionError(str(error)) from error
        self._tally.statuses[f"{path.rpartition('/')[2]} {response.status}"] += 1
        answer = json.loads(body) if body else None
        if response.status == 401:
            self._tally.wrong_invalid_client += 1
            self._tally.wrong.append(f"{path}: 401 {answer}")
        if response.status == 503 and (answer or {}).get("error") != "temporarily_unavailable":
            self._tally.wrong.append(f"{path}: 503 {answer}")
        return response.status, answer

    def introspect(self, token: str) -> bool | None:
        """Return whether the token is active, None for a 503."""
        started = time.perf_counter()
        status, answer = self.post("/oauth2/introspect", token=token)
        self._tally.introspection_seconds.append(time.perf_counter() - started)
        if status not in {200, 503}:
            self._tally.wrong.append(f"introspect: {status} {answer}")
        return bool(answer["active"]) if status == 200 else None

    def expect(self, token: str, *, active: bool) -> None:
        """Introspect, and note an answer that is neither the right one nor 503."""
        told = self.introspect(token)
        if told is None or told is active:
            return
        self._tally.wrong.append("a revoked token was reported active" if told else "a live token was refused")
        self._tally.revoked_reported_active += told

    def token(self) -> str | None:
        """Return a fresh token; one that is not given is noted."""
        status, answer = self.post("/oauth2/token", grant_type="client_credentials")
        if status != 200:
            self._tally.failed_tokens += 1
            self._tally.wrong.append(f"token: {status} {answer}")
            return None
        return str(answer["access_token"])

    def revoke(self, token: str) -> bool:
        """Tell whether the revocation was acknowledged."""
        status, _ = self.post("/oauth2/revoke", token=token)
        if status == 200:
            self._tally.acknowledged.append(token)
        return status == 200

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextlib.contextmanager
def under_load(
    servers: list[RunningServer], client: Client, *, revoked: str, live: str, issue: bool = True, seconds: float = 0
) -> Iterator[Tally]:
    """Let callers introspect, get tokens and revoke them on all servers until the block is left.

    What one server has acknowledged is asked of the next one at once, and judged after half a second. The load
    lasts `seconds` at least.
    """
    tally, over = Tally(), threading.Event()
    works = [(_read, server, server) for server in servers for _ in range(2)]
    works += [(_revoke, server, servers[number - 1]) for number, server in enumerate(servers) if issue]
    failures: list[BaseException] = []

    def run(work: Any, server: RunningServer, other: RunningServer) -> None:
        here, there = Caller(server, client, tally), Caller(other, client, tally)
        try:
            while not over.is_set():
                with contextlib.suppress(ConnectionError):
                    work(here, there, tally, revoked, live)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(error)
        finally:
            here.close()
            there.close()

    threads = [threading.Thread(target=run, args=work) for work in works]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        yield tally
        time.sleep(max(0.0, seconds - (time.monotonic() - started)))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures, failures


def _read(here: Caller, there: Caller, tally: Tally, revoked: str, live: str) -> None:
    here.expect(revoked, active=False)
    here.expect(live, active=True)
    time.sleep(0.002)


def _revoke(here: Caller, there: Caller, tally: Tally, revoked: str, live: str) -> None:
    token = here.token()
    if token is None or not here.revoke(token):
        return
    acknowledged = time.monotonic()
    here.expect(token, active=False)
    while there.introspect(token) is True:
        lag = time.monotonic() - acknowledged
        if lag > EVERYWHERE_SECONDS:
            tally.revoked_reported_active += 1
            tally.wrong.append(f"reported active {lag:.3f} s after its revocation was acknowledged elsewhere")
            return
        tally.late.append(lag)
    time.sleep(0.005)
