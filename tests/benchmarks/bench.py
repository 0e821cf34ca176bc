"""What every section is given."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from tests.benchmarks.load import LoadGenerator
from tests.benchmarks.options import Options
from tests.benchmarks.own_server import create_client, own_server
from tests.benchmarks.peer_servers import Peer, peer_server
from tests.benchmarks.processes import Cores, choose_cores, free_port
from tests.benchmarks.server import Client, Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The options, the tools, the peers that are there and a folder that goes away."""

    options: Options
    generator: LoadGenerator
    peers: tuple[Peer, ...]
    cores: Cores
    folder: Path

    def with_server_cores(self, count: int) -> Self:
        """Return a bench whose servers have `count` cores; the load has another, or shares them if there is none."""
        cores = choose_cores(pinning=not self.options.unpinned, for_server=count)
        return replace(self, cores=cores, generator=self.generator.on_cores(cores.load))

    @contextmanager
    def own_server(
        self, data_name: str, *, port: int | None = None, settings: Mapping[str, str] | None = None
    ) -> Iterator[tuple[Server, Client]]:
        """Run our server on a folder of that name, with a client made for the occasion."""
        data = self.folder / data_name
        with own_server(data, port=port or free_port(), cores=self.cores.server, settings=settings) as server:
            yield server, create_client(data, "benchmark", settings)

    @contextmanager
    def peer_servers(self, *, introspected: bool) -> Iterator[list[tuple[Peer, Server]]]:
        """Run every peer, with JWTs, or with the format that it can introspect."""
        with ExitStack() as stack:
            servers = []
            for peer in self.peers:
                token_format = peer.introspected_format if introspected else "jwt"
                log = self.folder / f"{peer.folder}.log"
                server = stack.enter_context(peer_server(peer, token_format, log=log, cores=self.cores.server))
                servers.append((peer, server))
            yield servers
