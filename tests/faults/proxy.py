"""A TCP proxy that can be slow, cut connections, keep silent, or hold one message: the network of one instance."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_CHUNK = 65_536
_POLL_SECONDS = 0.02


@dataclass
class Hold:
    """Stops one message, the n-th that is `wanted`, or what is said in reply to it, and its connection."""

    wanted: Callable[[bytes], bool]
    nth: int = 1
    replied: bool = False
    #: Set once the message, or the reply, lies here: it will go no further.
    held: threading.Event = field(default_factory=threading.Event)
    lifted: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Keep what has come until the hold is lifted, which drops it."""
        self.held.set()
        self.lifted.wait()


@dataclass
class _Link:
    """Both ends of a forwarded connection."""

    inner: socket.socket
    outer: socket.socket
    withheld: Hold | None = None


class Proxy:
    """Forwards connections to a port of this machine. Set `delay_seconds` or `silent` at any time."""

    def __init__(self, target_port: int) -> None:
        """Listen on a free port."""
        self.delay_seconds = 0.0
        self.silent = False
        self._hold: Hold | None = None
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

    @contextlib.contextmanager
    def holding(self, hold: Hold) -> Iterator[Hold]:
        """Wait for the message that `hold` describes; when the block is left its connection is closed."""
        self._hold = hold
        try:
            yield hold
        finally:
            self._hold = None
            hold.lifted.set()

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
            link = _Link(inner, outer)
            for pump in (self._pump_requests, self._pump_replies):
                threading.Thread(target=self._run, args=(pump, link), daemon=True).start()

    def _pump_requests(self, link: _Link) -> None:
        while data := link.inner.recv(_CHUNK):
            hold = self._hold
            if hold is not None and hold.wanted(data):
                hold.nth -= 1
                if hold.nth == 0 and not hold.replied:
                    hold.stop()
                    return
                if hold.nth == 0:
                    link.withheld = hold
            self._wait_for_sound()
            link.outer.sendall(data)

    def _pump_replies(self, link: _Link) -> None:
        while data := link.outer.recv(_CHUNK):
            if link.withheld is not None:
                link.withheld.stop()
                return
            if self.delay_seconds:
                time.sleep(self.delay_seconds)
            self._wait_for_sound()
            link.inner.sendall(data)

    def _wait_for_sound(self) -> None:
        while self.silent:
            time.sleep(_POLL_SECONDS)

    def _run(self, pump: Callable[[_Link], None], link: _Link) -> None:
        with contextlib.suppress(OSError):
            pump(link)
        for one in (link.inner, link.outer):
            _close(one)
        with self._lock:
            self._open -= {link.inner, link.outer}


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
