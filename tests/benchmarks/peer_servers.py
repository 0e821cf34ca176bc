"""The servers under peers/: installed by npm from their lock files, started with Node.js."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.errors import BenchmarkError
from tests.benchmarks.processes import free_port, running
from tests.benchmarks.progress import say
from tests.benchmarks.server import AUDIENCE, Client, Server
from tests.node_packages import InstallationFailed, NodeMissing, install_packages

PEER_CLIENT = Client("benchmark-client", "a-secret-that-only-the-benchmark-knows")

_PEERS = Path(__file__).with_name("peers")
_START_SECONDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A server to measure against, and how much faster than it ours should be."""

    name: str
    folder: str
    ready_path: str
    introspection_path: str
    introspected_format: str
    token_target: float
    introspection_target: float

    @property
    def sources(self) -> Path:
        """The folder with server.mjs, package.json and package-lock.json."""
        return _PEERS / self.folder


NODE_OIDC_PROVIDER = Peer(
    name="node-oidc-provider 9.13.3",
    folder="node-oidc-provider",
    ready_path="/.well-known/openid-configuration",
    introspection_path="/token/introspection",
    introspected_format="opaque",
    token_target=2.2,
    introspection_target=2.5,
)
JMONDI = Peer(
    name="@jmondi/oauth2-server 4.3.7",
    folder="jmondi-oauth2-server",
    ready_path="/ready",
    introspection_path="/introspect",
    introspected_format="jwt",
    token_target=1.1,
    introspection_target=1.5,
)
PEERS = (NODE_OIDC_PROVIDER, JMONDI)


def install_peers() -> None:
    """Install what the peers need, unless it is there already; BenchmarkError says why it failed."""
    for peer in PEERS:
        say(f"installing {peer.name}, unless it is there")
        try:
            install_packages(peer.sources)
        except (NodeMissing, InstallationFailed) as error:
            raise BenchmarkError(str(error)) from None


@contextmanager
def peer_server(peer: Peer, token_format: str, *, log: Path, cores: Sequence[int]) -> Iterator[Server]:
    """Run `peer`, issuing tokens of `token_format` ("jwt" or "opaque"), until the block ends."""
    port = free_port()
    environment = {
        **os.environ,
        "NODE_ENV": "production",
        "PORT": str(port),
        "CLIENT_ID": PEER_CLIENT.client_id,
        "CLIENT_SECRET": PEER_CLIENT.client_secret,
        "AUDIENCE": AUDIENCE,
        "TOKEN_FORMAT": token_format,
    }
    command = ["node", "server.mjs"]
    with running(command, environment=environment, folder=peer.sources, log=log, cores=cores) as process:
        server = Server(
            name=peer.name,
            port=port,
            running=process,
            ready_path=peer.ready_path,
            token_path="/token",
            introspection_path=peer.introspection_path,
        )
        server.wait_until_ready(_START_SECONDS)
        yield server
