"""Whether this process should get requests, and the gauges that show its state."""

from __future__ import annotations

from collections.abc import Callable

from authserver.app.capabilities import Capabilities
from authserver.core.clock import seconds
from authserver.core.errors import AuthServerError
from authserver.core.signing_key import KeyState
from authserver.endpoints.health import ReadinessCheck
from authserver.wire.stopping import DRAINING


def readiness(c: Capabilities, draining: Callable[[], bool]) -> ReadinessCheck:
    """Return the check behind `/health/ready`; `draining` tells whether the process is about to stop."""

    async def check() -> list[str]:
        reasons = [DRAINING] if draining() else []
        age = c.follower.age_seconds()
        if age > c.settings.revocation_grace_seconds:
            reasons.append(f"the database has not answered for {age:.0f} s: see its log, and AUTHSERVER_DATABASE_URL")
        try:
            c.keys.jwks()
        except AuthServerError as error:
            reasons.append(error.reason)
        return reasons

    return check


def losses(c: Capabilities) -> Callable[[], list[str]]:
    """Return what tells which dependencies are away that the server can do without."""

    def tell() -> list[str]:
        if c.beacon is None or c.beacon.is_up:
            return []
        return ["Redis does not answer: the database is asked instead; see the log, and AUTHSERVER_REDIS_URL"]

    return tell


#: The gauges, by name, and what they say.
GAUGES = {
    "revocations_held": "Revocations held in memory.",
    "clients_held": "Clients held in memory.",
    "database_age_seconds": "Seconds since the database was last asked with success.",
    "signing_key_age_seconds": "Age of the oldest active signing key.",
}


def register_gauges(c: Capabilities) -> None:
    """Register what is measured when somebody asks for the metrics."""
    values: dict[str, Callable[[], float]] = {
        "revocations_held": c.revocations.__len__,
        "clients_held": c.directory.__len__,
        "database_age_seconds": c.follower.age_seconds,
        "signing_key_age_seconds": lambda: _oldest_key_seconds(c),
    }
    for name, text in GAUGES.items():
        c.metrics.gauge(name, text, values[name])


def _oldest_key_seconds(c: Capabilities) -> float:
    active = [key for key in c.keys.list() if key.state is KeyState.ACTIVE]
    now = seconds(c.clock())
    return max((now - (key.activated_at or key.published_at) for key in active), default=0)
