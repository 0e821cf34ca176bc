"""An instance that is killed again and again, at any moment of what it does, beside one that lives."""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.faults.deployment import Deployment
from tests.faults.nursery import Nursery
from tests.redis_server import wait_for
from tests.server import RunningServer, free_port

REVOKERS = 3
TOKENS_EACH = 6
#: The instance is killed after a random number of acknowledgements, at a random moment of this time.
STEP_SECONDS = 0.01
PATIENCE_SECONDS = 5.0

STARTED, COMPLETED, ROTATED = STEPS = ("secret started", "secret completed", "keys rotated")
#: How often each of them is to be seen before a series says anything.
OFTEN = 3

BROKEN = (OSError, http.client.HTTPException)


@dataclass
class CrashReport:
    """What many crashes have done. All but `rounds`, `acknowledged`, `interrupted` and `steps` must stay empty."""

    rounds: int = 0
    acknowledged: int = 0
    interrupted: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def is_varied(self) -> bool:
        """Tell whether each step of each kind of rotation was done now and then."""
        return len(self.steps) == len(STEPS) and min(self.steps.values()) >= OFTEN


class CrashSeries:
    """Rounds of: start an instance, let it revoke and rotate, kill it, ask the other one."""

    def __init__(self, deployment: Deployment, nursery: Nursery, *, seed: int) -> None:
        """Kill instances beside `deployment.b`, at moments that `seed` decides."""
        self.report = CrashReport()
        self._d = deployment
        self._nursery = nursery
        self._random = random.Random(seed)
        self._port = free_port()
        self._rotated = deployment.b.create_client()
        self._secrets = [str(self._rotated["client_secret"])]
        self._completed = True
        self._all_acknowledged: list[str] = []
        self._rotations: Sequence[Callable[[RunningServer], None]] = [self._rotate_secret] * 2 + [self._rotate_keys]

    @property
    def acknowledged(self) -> list[str]:
        """Return every token whose revocation was answered 200."""
        return self._all_acknowledged

    def round(self) -> None:
        """Kill one instance, and judge what is left."""
        d = self._d
        shares = [[d.b.token(d.client) for _ in range(TOKENS_EACH)] for _ in range(REVOKERS)]
        victim = self._nursery.start(d.a, self._port, AUTHSERVER_REDIS_URL=d.redis.url)
        server = replace(d.a, port=self._port)
        acknowledged: list[str] = []
        threads = [threading.Thread(target=self._revoke, args=(server, share, acknowledged)) for share in shares]
        threads.append(threading.Thread(target=self._random.choice(self._rotations), args=(server,)))
        for thread in threads:
            thread.start()
        self._live_for_a_while(acknowledged)
        victim.kill()
        for thread in threads:
            thread.join()
        self._judge_revocations([token for share in shares for token in share], acknowledged)
        self._judge_secrets()
        self._judge_keys()
        self.report.rounds += 1

    def _live_for_a_while(self, acknowledged: list[str]) -> None:
        """Wait for a random share of the revocations: on a busy machine they take longer, and nothing else changes."""
        enough = self._random.randrange(REVOKERS * TOKENS_EACH)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(acknowledged) < enough and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(self._random.uniform(0, STEP_SECONDS))

    def _revoke(self, server: RunningServer, share: list[str], acknowledged: list[str]) -> None:
        with contextlib.suppress(*BROKEN):
            for token in share:
                if server.revoke(token, self._d.client).status == 200:
                    acknowledged.append(token)  # noqa: PERF401 - kept when the next one breaks off

    def _rotate_secret(self, server: RunningServer) -> None:
        path = f"/clients/{self._rotated['client_id']}/secrets"
        with contextlib.suppress(*BROKEN):
            while True:
                started = server.admin("POST", path)
                if started.status != 201:
                    self.report.wrong.append(f"start of a rotation: {started.status} {started.body!r}")
                    return
                self._secrets.append(started.json()["client_secret"])
                self._completed = False
                self.report.steps[STARTED] += 1
                if server.admin("POST", f"{path}/complete").status < 300:
                    self._completed = True
                    del self._secrets[:-1]
                    self.report.steps[COMPLETED] += 1

    def _rotate_keys(self, server: RunningServer) -> None:
        with contextlib.suppress(*BROKEN):
            while server.admin("POST", "/signing-keys/rotate", {"alg": "ES256", "force": True}).status == 200:
                self.report.steps[ROTATED] += 1

    def _judge_revocations(self, tokens: list[str], acknowledged: list[str]) -> None:
        """Ask the survivor at once about what was acknowledged; repeat there what was not."""
        d = self._d
        self.report.acknowledged += len(acknowledged)
        self._all_acknowledged += acknowledged
        self.report.lost += [token for token in acknowledged if d.is_active(d.b, token) is not False]
        pending = [token for token in tokens if token not in set(acknowledged)]
        self.report.interrupted += len(pending)
        for token in pending[:REVOKERS]:
            if d.b.revoke(token, d.client).status != 200 or d.is_active(d.b, token) is not False:
                self.report.wrong.append("a revocation that was repeated after the crash did not work")

    def _judge_secrets(self) -> None:
        """Of the secrets that may be live, all that were answered for must be; then end an open rotation."""
        d, client_id = self._d, str(self._rotated["client_id"])
        live = [secret for secret in self._secrets if self._is_live(secret)]
        if not live or (self._completed and live != self._secrets):
            self.report.wrong.append(f"{len(live)} of {len(self._secrets)} secrets are live")
        cancelled = d.b.admin("POST", f"/clients/{client_id}/secrets/cancel").status
        if cancelled not in {200, 204, 409}:
            self.report.wrong.append(f"cancel: {cancelled}")
        self._secrets = [secret for secret in self._secrets if self._is_live(secret)]
        self._completed = True
        shown: Any = d.b.admin("GET", f"/clients/{client_id}").json()
        if len(shown.get("secrets", [1])) != 1 or len(self._secrets) != 1:
            self.report.wrong.append(f"after the rotation was ended there are {len(self._secrets)} secrets")

    def _is_live(self, secret: str) -> bool:
        client = {**self._rotated, "client_secret": secret}
        return self._d.b.token_response(client).status == 200

    def _judge_keys(self) -> None:
        """Look into the database: one key signs, at most one is next."""
        rows = self._d.database.rows("SELECT state FROM signing_keys WHERE alg = 'ES256'")
        states = Counter(state for (state,) in rows)
        if states["active"] != 1 or states["next"] > 1:
            self.report.wrong.append(f"signing keys: {dict(states)}")

    def judge_in_the_end(self) -> None:
        """Ask an instance that starts now about everything that was acknowledged, and whether tokens are given."""
        d = self._d
        victim = self._nursery.start(d.a, self._port, AUTHSERVER_REDIS_URL=d.redis.url)
        server = replace(d.a, port=self._port)
        self.report.lost += [token for token in self._all_acknowledged if d.is_active(server, token) is not False]
        token = server.token(d.client)
        wait_for(lambda: d.is_active(d.b, token) is True, "the other instance to know the key", 1)
        victim.kill()
