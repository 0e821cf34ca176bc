"""A service that checks one token again and again until it is refused.

Told: what `from_config` of a verifier takes, then one token after another. Tells: `{}` once the verifier has started,
`{}` once a token was found good, then `refused`, `at`, when that was or when the program gave up (the monotonic clock,
which is the same one for all processes), and `failures`, how often the feed did not answer until then.
"""

import time

from authserver.resource_server import InvalidToken, ThreadVerifier
from tests.benchmarks.talk import hear, tell

PAUSE_SECONDS = 0.001
GIVE_UP_SECONDS = 20


def main() -> None:
    """Watch until the bench has no more tokens."""
    with ThreadVerifier.from_config(**hear()) as verifier:
        tell({})
        while True:
            token = hear()
            verifier.verify(token)
            tell({})
            refused = _watch(verifier, token)
            tell({"refused": refused, "at": time.monotonic(), "failures": verifier.status().feed_failures})


def _watch(verifier: ThreadVerifier, token: str) -> bool:
    """Return whether the token was refused as revoked in time."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        try:
            verifier.verify(token)
        except InvalidToken as refusal:
            return refusal.reason == "revoked"
        time.sleep(PAUSE_SECONDS)
    return False


if __name__ == "__main__":
    main()
