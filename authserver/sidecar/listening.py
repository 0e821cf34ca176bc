"""Where the sidecar listens: a port of the loopback, or a UNIX socket for its owner and group."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import re
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from authserver.core.errors import ConfigurationError

UNIX_PREFIX = "unix:"

_OTHERS = 0o117  # taken from 0777, leaves 0660
_BACKLOG = 2048
_PROBE_SECONDS = 1.0
_TCP = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """A host, by number, and a port; or the `path` of a UNIX socket."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        if self.path is not None:
            return f"{UNIX_PREFIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, *, exposed: bool) -> Address:
    """Return `HOST:PORT` or `unix:PATH`, parsed; raise ConfigurationError.

    Only this machine may reach the sidecar, which authenticates no caller, unless `exposed` says that the network
    keeps strangers away.
    """
    if text.startswith(UNIX_PREFIX) and len(text) > len(UNIX_PREFIX):
        return Address(path=Path(text.removeprefix(UNIX_PREFIX)))
    found = _TCP.fullmatch(text)
    if found is None or int(found["port"]) > _LAST_PORT:
        raise ConfigurationError(f"--listen: {text!a} is neither HOST:PORT nor unix:PATH.")
    host = "127.0.0.1" if found["host"] == "localhost" else found["v6"] or found["host"]
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        raise ConfigurationError(f"--listen: {host} is no IP address; name one, such as 127.0.0.1.") from None
    if not number.is_loopback and not exposed:
        raise ConfigurationError(
            f"--listen: whoever reaches {host} could ask about tokens; use 127.0.0.1, which all containers of a pod "
            "share, or unix:PATH. If no stranger can reach it, say --expose."
        )
    return Address(host, int(found["port"]))


@contextlib.contextmanager
def listening(address: Address) -> Iterator[socket.socket]:
    """Listen until the block is left; raise ConfigurationError when that cannot be.

    A file that a dead process has left in the place of a UNIX socket is replaced, a living one refused.
    """
    with contextlib.ExitStack() as held:
        try:
            opened = _port(address) if address.path is None else _unix_socket(address.path)
            listener = held.enter_context(opened)
        except OSError as error:
            reason = error.strerror or str(error)
            remedy = "; choose another address" if error.errno == errno.EADDRINUSE else ""
            raise ConfigurationError(f"--listen: cannot listen on {address} ({reason}){remedy}.") from None
        yield listener


@contextlib.contextmanager
def _port(address: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(_BACKLOG)
        yield listener


@contextlib.contextmanager
def _unix_socket(path: Path) -> Iterator[socket.socket]:
    _clear(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        others = os.umask(_OTHERS)  # never open to others, not for a moment
        try:
            listener.bind(str(path))
        finally:
            os.umask(others)
        listener.listen(_BACKLOG)
        ours = path.lstat()
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):
                if os.path.samestat(path.lstat(), ours):
                    path.unlink()


def _clear(path: Path) -> None:
    """Remove a socket that nobody listens on."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(f"--listen: {path} is there already, and no socket.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise ConfigurationError(f"--listen: another process listens on {path}.")
