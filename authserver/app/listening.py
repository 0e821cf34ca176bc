"""The address to listen on: taken by one server alone, shared by its workers.

Each worker listens on a socket of its own (SO_REUSEPORT), so that the kernel deals out the connections evenly and a
worker that died takes no new one. The supervisor holds the address without listening: another server cannot have it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

#: As getaddrinfo gives it: host and port, for IPv6 flow and scope.
Address = tuple[Any, ...]


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Hold the address until the block is left and yield its port; raise OSError when somebody else has it.

    Linux judges a second socket by what the first one allows at that moment: taken exclusively, then opened to
    sockets of the same account that say SO_REUSEPORT, which those of our workers do and those of other servers do not.
    """
    with ExitStack() as held:
        for family, address in _addresses(host, port):
            holder = held.enter_context(_bound(family, (address[0], port, *address[2:])))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            port = holder.getsockname()[1]
        yield port


def shared_sockets(host: str, port: int) -> list[socket.socket]:
    """Return one socket for each address of `host`, bound beside those of the other workers, not yet listening."""
    return [_bound(family, address, shared=True) for family, address in _addresses(host, port)]


def probe(host: str, port: int) -> int:
    """Take and release the address, and return its port; raise OSError when it cannot be had."""
    family, address = _addresses(host, port)[0]
    with _bound(family, address) as listener:
        return int(listener.getsockname()[1])


def _addresses(host: str, port: int) -> list[tuple[int, Address]]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((int(family), address) for family, _, _, _, address in found))


def _bound(family: int, address: Address, *, shared: bool = False) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
