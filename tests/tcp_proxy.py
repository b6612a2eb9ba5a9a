"""A TCP proxy that breaks connections where a test says so, and may be slow. On loopback, for one server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 65_536


@dataclass
class Proxy:
    """Forwards `port` to a server, and counts what a client sends as round trips.

    `cut_before` breaks the connection instead of forwarding what contains these bytes; `cut_after` forwards
    it and breaks the connection before the answer; `cut_in_answer` breaks it when the server has sent so many
    bytes after that. Each happens once. `delay_seconds` is added to each round trip.
    """

    target: int
    delay_seconds: float = 0.0
    cut_before: bytes | None = None
    cut_after: bytes | None = None
    cut_in_answer: tuple[bytes, int] | None = None
    round_trips: int = 0
    bytes_down: int = 0
    cuts: int = 0
    said: bytearray = field(default_factory=bytearray)
    """All that clients sent."""
    port: int = 0
    _listener: socket.socket = field(default_factory=socket.socket)
    _open: set[socket.socket] = field(default_factory=set)
    _left: int | None = None

    def start(self) -> None:
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(50)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break every connection now."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with closing(client), closing(socket.socket()) as server:
            try:
                server.connect(("127.0.0.1", self.target))
            except OSError:
                return
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= {client, server}
            down = threading.Thread(target=self._pump, args=(server, client, False), daemon=True)
            down.start()
            self._pump(client, server, True)
            down.join(10)
            self._open -= {client, server}

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if up:
                    self.said += data
                    if self.delay_seconds:
                        time.sleep(self.delay_seconds)
                    self.round_trips += 1
                    if self.cut_before is not None and self.cut_before in data:
                        self.cut_before = None
                        break
                    if self.cut_in_answer is not None and self.cut_in_answer[0] in data:
                        self._left, self.cut_in_answer = self.cut_in_answer[1], None
                    if self.cut_after is not None and self.cut_after in data:
                        self.cut_after = None
                        sink.sendall(data)
                        time.sleep(0.3)  # the server carries it out meanwhile
                        break
                else:
                    self.bytes_down += len(data)
                    if self._left is not None:
                        if len(data) >= self._left:
                            sink.sendall(data[: self._left])
                            self._left = None
                            break
                        self._left -= len(data)
                sink.sendall(data)
            else:
                self._end(source, sink)
                return
            self.cuts += 1
        self._end(source, sink)

    def _end(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def before(target: int, *, delay_seconds: float = 0.0) -> Iterator[Proxy]:
    """A running proxy before a server's port."""
    proxy = Proxy(target, delay_seconds=delay_seconds)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
