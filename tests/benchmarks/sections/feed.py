"""How soon a token that was revoked at the server is refused by the library in another process."""

import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any
from urllib.parse import urlencode

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Finding, Results, at_most
from tests.benchmarks.programs.feed_watcher import GIVE_UP_SECONDS, PAUSE_SECONDS
from tests.benchmarks.progress import say
from tests.benchmarks.protected import protect
from tests.benchmarks.server import FORM, Client, Connection
from tests.benchmarks.talk import Talk, talking
from tests.faults.proxy import Proxy, proxy_to

SECTION = "feed"

_REFUSED_MS = 1_000
_LONGEST_PAUSE_SECONDS = 0.02
_LONGEST_OUTAGE_SECONDS = 0.2

_NOTE = (
    f"Section {SECTION}: the library checks the token every {PAUSE_SECONDS * 1_000:g} ms in another process. The time "
    "is from the moment before the revocation is sent to the moment after the first refusal. The tokens are revoked "
    f"one after another, with random pauses up to {_LONGEST_PAUSE_SECONDS * 1_000:g} ms. A disconnect: a TCP proxy "
    f"lets nothing through for up to {2 * _LONGEST_OUTAGE_SECONDS:g} s, the connections stay open (every other time) "
    "or are closed at once; meanwhile the token is revoked; then all connections are closed and the way is free. "
    f"Missed: not refused within {GIVE_UP_SECONDS} s."
)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Whether a watched token was refused, how long after the moment that counts, and the feed's failures so far."""

    refused: bool
    milliseconds: float
    failures: int


def measure(bench: Bench) -> Results:
    """Revoke with the feed up, then while it is cut off."""
    count, disconnects = bench.options.revoked_at_library, bench.options.disconnects
    with bench.own_server(SECTION) as (server, client), Connection(server.port) as revoking:
        protected = protect(bench.folder / SECTION, server)
        tokens = bench.generator.mint(server, client, count + disconnects)
        say(f"{SECTION}: revoking {count:,} tokens")
        with _watcher(bench, protected.arguments()) as watcher:
            connected = [_revoke(watcher, revoking, client, token) for token in tokens[:count]]
        say(f"{SECTION}: {disconnects} disconnects")
        with (
            proxy_to(server.port) as proxy,
            _watcher(bench, protected.arguments_by_way_of(proxy.port)) as watcher,
        ):
            cut = [
                _revoke_while_cut(watcher, revoking, client, token, proxy, closed=number % 2 == 0)
                for number, token in enumerate(tokens[count : count + disconnects])
            ]
    return Results(findings=_findings(connected, cut), notes=[_NOTE])


@contextmanager
def _watcher(bench: Bench, arguments: Mapping[str, Any]) -> Iterator[Talk]:
    with talking("feed_watcher", log=bench.folder / "feed_watcher.log", cores=bench.cores.load) as talk:
        talk.tell(arguments)
        talk.hear()
        yield talk


def _revoke(watcher: Talk, revoking: Connection, client: Client, token: str) -> _Refusal:
    _watch(watcher, token)
    time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))
    began = time.monotonic()
    _send_revocation(revoking, client, token)
    return _refusal(watcher, began)


def _revoke_while_cut(
    watcher: Talk, revoking: Connection, client: Client, token: str, proxy: Proxy, *, closed: bool
) -> _Refusal:
    _watch(watcher, token)
    proxy.silent = True
    if closed:
        proxy.cut()
    time.sleep(random.uniform(0, _LONGEST_OUTAGE_SECONDS))
    _send_revocation(revoking, client, token)
    time.sleep(random.uniform(0, _LONGEST_OUTAGE_SECONDS))
    healed = time.monotonic()
    proxy.heal()
    return _refusal(watcher, healed)


def _watch(watcher: Talk, token: str) -> None:
    """Have the token checked, once it was found good, until it is refused."""
    watcher.tell(token)
    watcher.hear()


def _send_revocation(revoking: Connection, client: Client, token: str) -> None:
    revoking.post("/oauth2/revoke", client.basic(), FORM, urlencode({"token": token}))


def _refusal(watcher: Talk, since: float) -> _Refusal:
    end = watcher.hear()
    return _Refusal(end["refused"], (end["at"] - since) * 1_000, end["failures"])


def _findings(connected: Sequence[_Refusal], cut: Sequence[_Refusal]) -> list[Finding]:
    times = sorted(refusal.milliseconds for refusal in connected)
    p99 = times[math.ceil(0.99 * len(times)) - 1]
    longest = max(refusal.milliseconds for refusal in cut)
    missed = "revoked and never refused"
    after = f"revoked while the feed was cut, refused after it healed: the longest of {len(cut):,}"
    return [
        at_most(
            SECTION, "revoked, refused by the library: p99", measured=p99, limit=_REFUSED_MS, unit="ms", decimals=1
        ),
        Finding(section=SECTION, claim="revoked, refused by the library: p50", measured=f"{median(times):.1f} ms"),
        Finding(section=SECTION, claim="revoked, refused by the library: longest", measured=f"{times[-1]:.1f} ms"),
        _none(f"{missed}, of {len(connected):,} with the feed up", connected),
        _none(f"{missed}, of {len(cut):,} during disconnects", cut),
        Finding(section=SECTION, claim=after, measured=f"{longest:.1f} ms"),
        Finding(section=SECTION, claim="times that the library lost the feed", measured=f"{cut[-1].failures:,}"),
    ]


def _none(claim: str, refusals: Sequence[_Refusal]) -> Finding:
    missed = sum(not refusal.refused for refusal in refusals)
    return at_most(SECTION, claim, measured=missed, limit=0, unit="tokens")
