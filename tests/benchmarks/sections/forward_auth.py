"""What it costs a service behind nginx to have every request judged by forward-auth."""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks.bench import Bench
from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.figures import Finding, Results, compare_shares
from tests.benchmarks.processes import LOOPBACK, Processes, free_port, running
from tests.benchmarks.protected import Protected, protect
from tests.benchmarks.rounds import alternate, steady
from tests.benchmarks.server import Server
from tests.conformance.proxies import PAGE, PROGRAMS, nginx

SECTION = "forward_auth"

_AUTHSERVER = str(Path(sys.executable).with_name("authserver"))
_START_SECONDS = 20

# The service, and a way to it that asks nobody.
_SERVICE = """
server {
    listen %(address)s:%(service)d;
    location / {
        default_type application/json;
        return 200 '{"served": true}';
    }
}
server {
    listen %(address)s:%(open)d;
    location / {
        proxy_pass http://%(address)s:%(service)d;
    }
}
"""

_NOTE = (
    f"Section {SECTION}: nginx with one worker and the configuration of docs/forward-auth.md, before a service that "
    "is nginx itself (`return 200`) in that worker; when it asks nobody it hands on to the same service. nginx and "
    "what it asks share the servers' core, so a rate is what one core does for both, and CPU \N{MICRO SIGN}s are those "
    "of both. Every request has the same good token."
)


def measure(bench: Bench) -> Results:
    """Measure requests through nginx when it asks our server, the sidecar, and nobody."""
    with bench.own_server(SECTION) as (server, client), ExitStack() as stack:
        protected = protect(bench.folder / SECTION, server)
        (token,) = server.issue_tokens([client])
        contestants = []
        for asked in (server, stack.enter_context(_sidecar(bench, protected))):
            unasking, asking = stack.enter_context(nginx_before(bench, asked))
            both = Processes([asking.running, asked.running])
            contestants.append(steady(asking.name, asking.bearer_load(token, running=both)))
        contestants.append(steady(unasking.name, unasking.bearer_load(token)))
        *figures, alone = alternate(SECTION, contestants, bench.generator, bench.options)
    findings = [
        compare_shares(f"requests/s when {figure.name}, of the rate when it asks nobody", figure, alone)
        for figure in figures
    ]
    findings += [
        Finding(section=SECTION, claim=f"p99 when {figure.name}", measured=f"{figure.p99_ms:.1f} ms")
        for figure in (*figures, alone)
    ]
    return Results([*figures, alone], findings, [_NOTE])


@contextmanager
def _sidecar(bench: Bench, protected: Protected) -> Iterator[Server]:
    """Run the sidecar of the resource until the block ends, once it is ready."""
    port = free_port()
    config, secret = (bench.folder / f"{SECTION}-{name}" for name in ("verifier.json", "client-secret"))
    config.write_text(json.dumps(protected.document), encoding="utf-8")
    secret.write_text(protected.resource_server.client_secret, encoding="utf-8")
    command = [_AUTHSERVER, "sidecar", "--listen", f"{LOOPBACK}:{port}", "--config", str(config)]
    command += ["--client-id", protected.resource_server.client_id, "--client-secret-file", str(secret)]
    log = bench.folder / f"{SECTION}-sidecar.log"
    with running(command, environment=os.environ, folder=bench.folder, log=log, cores=bench.cores.server) as process:
        sidecar = Server(
            name="the sidecar",
            port=port,
            running=process,
            ready_path="/health/ready",
            token_path="",
            introspection_path="/oauth2/introspect",
        )
        sidecar.wait_until_ready(_START_SECONDS)
        yield sidecar


@contextmanager
def nginx_before(bench: Bench, asked: Server) -> Iterator[tuple[Server, Server]]:
    """Run nginx until the block ends; yield its way to the service that asks nobody, and the one that asks `asked`."""
    if PROGRAMS["nginx"] is None:
        raise BenchmarkError("nginx is missing: install it (Debian, Ubuntu: apt-get install nginx-light)")
    directory = bench.folder / f"{SECTION}-nginx-{asked.port}"
    directory.mkdir()
    ports = {way: free_port() for way in ("service", "open", "guarded")}
    (text,) = re.findall(r"^```nginx\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for documented, port in ((8000, asked.port), (9000, ports["service"])):
        text = text.replace(f"{LOOPBACK}:{documented}", f"{LOOPBACK}:{port}")
    command = nginx(directory, text + _SERVICE % {"address": LOOPBACK, **ports}, ports["guarded"])
    log = directory / "output.log"
    with running(command, environment=os.environ, folder=directory, log=log, cores=bench.cores.server) as process:
        unasking, asking = (
            Server(
                name=f"nginx asks {whom}",
                port=ports[way],
                running=process,
                ready_path="/",
                token_path="",
                introspection_path="",
            )
            for way, whom in (("open", "nobody"), ("guarded", asked.name))
        )
        unasking.wait_until_ready(_START_SECONDS)
        yield unasking, asking
