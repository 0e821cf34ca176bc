"""A service that gets tokens and checks them without a pause, while keys are rotated: each one is good but `revoked`.

Told: `verifier`, what `from_config` takes; `port` and `authorization` to get tokens with; `revoked`, a token; then
anything, to end. Tells: `{}` once the verifier has started, and in the end `checks` of good tokens, `refusals` of them
by their reason, `keys` that have signed them, and how often the revoked one was `refused` and `accepted`.
"""

import random
import threading
from collections import Counter
from typing import Any
from urllib.parse import urlencode

from authserver.resource_server import Refusal, ThreadVerifier
from tests.benchmarks.server import FORM, SCOPE, Connection
from tests.benchmarks.talk import hear, tell
from tests.server import header_of

_OLDER = 10
_GRANT = urlencode({"grant_type": "client_credentials", "scope": SCOPE})


def main() -> None:
    """Check until told to end."""
    order = hear()
    ended = threading.Event()
    with ThreadVerifier.from_config(**order["verifier"]) as verifier:
        tell({})
        threading.Thread(target=_await_end, args=(ended,), daemon=True).start()
        tell(_check(verifier, order, ended))


def _await_end(ended: threading.Event) -> None:
    hear()
    ended.set()


def _check(verifier: ThreadVerifier, order: dict[str, Any], ended: threading.Event) -> dict[str, Any]:
    by_key: dict[str, str] = {}
    checks, refused, accepted = 0, 0, 0
    refusals: Counter[str] = Counter()
    with Connection(order["port"]) as connection:
        while not ended.is_set():
            fresh = connection.post("/oauth2/token", order["authorization"], FORM, _GRANT)["access_token"]
            older = random.sample(list(by_key.values()), min(_OLDER, len(by_key)))
            for token in (fresh, *older):
                checks += 1
                refusals.update(_refusal(verifier, token))
            by_key.setdefault(header_of(fresh)["kid"], fresh)
            if _refusal(verifier, order["revoked"]):
                refused += 1
            else:
                accepted += 1
    return {
        "checks": checks,
        "refusals": dict(refusals),
        "keys": len(by_key),
        "refused": refused,
        "accepted": accepted,
    }


def _refusal(verifier: ThreadVerifier, token: str) -> list[str]:
    """Return the reason for which the token is refused, nothing when it is not."""
    try:
        verifier.verify(token)
    except Refusal as refusal:
        return [refusal.reason]
    return []


if __name__ == "__main__":
    main()
