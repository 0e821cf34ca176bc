"""RS-09: a large list of revocations, as a verifier reads it from the feed."""

from __future__ import annotations

import subprocess
import sys

import pytest

MILLION = """
import resource, time
from authserver.core.identifiers import token_id_bytes
from authserver.resource_server.revocations import FeedPage, RevocationCopy
from tests.core.test_revocation_index import token_of

NOW_MS, PAGE, PAGES = 1_800_000_000_000, 5_000, 200

def jti(at_ms, number):
    digits = f"{at_ms:012x}"
    return f"{digits[:8]}-{digits[8:]}-7000-8000-{number:012x}"

def page(number):
    entries = [
        {"kind": "jti", "value": jti(NOW_MS - number * 18_000 - one, one), "revoked_at_ms": NOW_MS,
         "expires_at": NOW_MS // 1000 + 7200}
        for one in range(PAGE)
    ]
    return {"cursor": f"e.{number}", "as_of": NOW_MS / 1000, "jwks": "x", "snapshot": number == 0,
                       "more": number < PAGES - 1, "entries": entries}, entries[0]["value"]

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

copy, revoked = RevocationCopy(), []
page(0)
before = resident()
for number in range(PAGES):
    content, first = page(number)
    revoked.append(first)
    assert copy.known_at is None
    copy.take(FeedPage.read(content, workspace_id="default"), known_at=1.0, now_seconds=NOW_MS // 1000)
grown = resident() - before
tokens = [token_of(0, NOW_MS - number) for number in range(10_000)]
started = time.perf_counter()
found = sum(copy.is_revoked(token, token_id_bytes(token.jti)) for token in tokens)
microseconds = (time.perf_counter() - started) / len(tokens) * 1e6
known = sum(copy.is_revoked(token_of(0, 0, one), token_id_bytes(one)) for one in revoked)
held = len(copy)
empty = {"cursor": "e.1000", "as_of": 1.0, "snapshot": False, "more": False, "entries": []}
copy.take(FeedPage.read(empty, workspace_id="default"), known_at=2.0, now_seconds=NOW_MS // 1000 + 7201 + 300)
print(held, grown, microseconds, found, known, len(copy))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_rs_09_a_million_entries() -> None:
    """RS-09: a million revoked tokens take less than 150 MB, each is found, and all go when they have expired."""
    done = subprocess.run([sys.executable, "-c", MILLION], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    held, grown, microseconds, found, known, left = done.stdout.split()
    print(f"{int(grown) / 1e6:.0f} MB, {float(microseconds):.2f} µs")
    assert (int(held), int(found), int(known), int(left)) == (1_000_000, 0, 200, 0)
    assert int(grown) < 150_000_000
