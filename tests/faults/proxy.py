"""A TCP proxy that can be slow, cut connections, or keep silent: the network between one instance and Redis."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

_CHUNK = 65_536
_POLL_SECONDS = 0.02


class Proxy:
    """Forwards connections to a port of this machine. Set `delay_seconds` or `silent` at any time."""

    def __init__(self, target_port: int) -> None:
        """Listen on a free port."""
        self.delay_seconds = 0.0
        self.silent = False
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def redis_url(self) -> str:
        """Return the AUTHSERVER_REDIS_URL by which it is reached."""
        return f"redis://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Close every open connection; new ones are accepted."""
        with self._lock:
            broken, self._open = self._open, set()
        for one in broken:
            _close(one)

    def heal(self) -> None:
        """Be a good network again; connections that missed something are closed, as TCP would do in the end."""
        if self.silent:
            self.silent = False
            self.cut()
        self.delay_seconds = 0.0

    def close(self) -> None:
        """Stop listening and close every connection."""
        _close(self._listener)
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listener.accept()
            except OSError:
                return
            try:
                outer = socket.create_connection(("127.0.0.1", self._target_port), 1)
            except OSError:
                _close(inner)
                continue
            outer.settimeout(None)
            for one in (inner, outer):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {inner, outer}
            threading.Thread(target=self._pump, args=(inner, outer, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(outer, inner, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:  # noqa: FBT001 - private
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if is_reply and self.delay_seconds:
                    time.sleep(self.delay_seconds)
                while self.silent:
                    time.sleep(_POLL_SECONDS)
                sink.sendall(data)
        for one in (source, sink):
            _close(one)
        with self._lock:
            self._open -= {source, sink}


@contextlib.contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """Run a proxy until the block is left."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.silent = False
        proxy.close()


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
