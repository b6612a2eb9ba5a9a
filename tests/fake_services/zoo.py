"""A zoo of misbehaving sites on this machine: each animal does one thing wrong, and does it every time.

    with zoo.running(directory) as animals:
        animals.url("silent")            an http address
        animals.secure("expired")        an https address whose certificate is the misbehaviour
        animals.port("refused")          a port

`animals.said[name] = b"..."` sets the page of `/page/<name>`, `animals.seen` holds the heads of all requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events

from tests.fake_services.authority import issue, serving
from tests.fake_services.name_server import NameServer
from tests.loopback import free_port

HOST = "127.0.0.1"
OTHER_HOST = "127.0.0.2"
BOMB = gzip.compress(b"\0" * 20_000_000)
Writer = asyncio.StreamWriter
Animal = Callable[["Zoo", asyncio.StreamReader, Writer, str], Awaitable[None]]


def answer(body: bytes, *, status: str = "200 OK", kind: str = "text/html", head: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    ).encode() + body


class Zoo:
    """The animals, on one event loop in a thread."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.said: dict[str, bytes] = {}
        self.statuses: dict[str, str] = {}
        self.seen: list[str] = []
        self.mistakes: list[BaseException] = []
        self.ports: dict[str, int] = {}
        self._held: list[socket.socket] = []
        self._servers: list[asyncio.Server | asyncio.BaseTransport] = []
        self._visitors: weakref.WeakSet[Writer] = weakref.WeakSet()
        self.root = issue("Zoo Authority", authority=True, ends=timedelta(days=900))
        self.ca_file = directory / "authority.pem"
        self.ca_file.write_bytes(self.root.pem)

    def url(self, animal: str, host: str = HOST) -> str:
        return f"http://{host}:{self.ports['plain']}/{animal}"

    def secure(self, animal: str, path: str = "ok") -> str:
        return f"https://{HOST}:{self.ports[animal]}/{path}"

    def port(self, animal: str) -> int:
        return self.ports[animal]

    async def open(self) -> None:
        await self._serve("plain", self._http)
        await self._serve("plain", self._http, host=OTHER_HOST, port=self.ports["plain"])
        middle = issue("Zoo Middle", issuer=self.root, authority=True, ends=timedelta(days=60))
        other = issue("Other Authority", authority=True)
        tls = {
            "valid": serving(self.directory, "valid", issue(HOST, issuer=self.root)),
            "chain": serving(
                self.directory, "chain", issue(HOST, issuer=middle, ends=timedelta(days=80)), middle
            ),
            "soon": serving(self.directory, "soon", issue(HOST, issuer=self.root, ends=timedelta(days=5))),
            "expired": serving(
                self.directory,
                "expired",
                issue(HOST, issuer=self.root, begins=timedelta(days=-90), ends=timedelta(days=-3)),
            ),
            "early": serving(
                self.directory, "early", issue(HOST, issuer=self.root, begins=timedelta(days=2))
            ),
            "self_signed": serving(self.directory, "self_signed", issue(HOST)),
            "stranger": serving(self.directory, "stranger", issue(HOST, issuer=other), other),
            "no_middle": serving(self.directory, "no_middle", issue(HOST, issuer=middle)),
            "wrong_name": serving(self.directory, "wrong_name", issue("shop.example", issuer=self.root)),
        }
        for name, context in tls.items():
            await self._serve(name, self._http, context)
        two = serving(self.directory, "h2", issue(HOST, issuer=self.root), alpn=("h2",))
        await self._serve("h2", self._http2, two)
        await self._serve("h2_resets", self._http2_reset, two)
        await self._serve("tls_silent", _waits)
        await self._serve("tls_hangs_up", _hangs_up_at_once)
        await self._serve("banner", _greets)
        loop = asyncio.get_running_loop()
        names, _ = await loop.create_datagram_endpoint(NameServer, local_addr=(HOST, 0))
        self._servers.append(names)
        self.ports["names"] = names.get_extra_info("sockname")[1]
        self.ports["refused"] = free_port()
        self.ports["full"] = self._full()

    async def _serve(
        self,
        name: str,
        handler: Callable[[asyncio.StreamReader, Writer], Awaitable[None]],
        context: ssl.SSLContext | None = None,
        host: str = HOST,
        port: int = 0,
    ) -> None:
        async def handle(reader: asyncio.StreamReader, writer: Writer) -> None:
            self._visitors.add(writer)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await handler(reader, writer)
            writer.close()

        server = await asyncio.start_server(
            handle, host, port, ssl=context, ssl_shutdown_timeout=None if context is None else 0.2
        )
        self._servers.append(server)
        self.ports[name] = server.sockets[0].getsockname()[1]

    async def _http(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.seen.append(head)
            length = [
                int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")
            ]
            body = (await reader.readexactly(length[0])).decode("latin-1") if length else ""
            name, _, rest = head.split(" ")[1].lstrip("/").partition("/")
            animal = ANIMALS.get(name)
            if animal is not None:
                await animal(self, reader, writer, head)
                return
            writer.write(self._page(name, rest, head, body))
            await writer.drain()

    def _page(self, name: str, rest: str, head: str, body: str) -> bytes:
        match name:
            case "ok":
                return answer(b"<h1>All is well</h1>")
            case "page":
                return answer(self.said.get(rest, b""), status=self.statuses.get(rest, "200 OK"))
            case "status":
                return answer(b"so it is", status=f"{rest} Said So")
            case "json":
                return answer(
                    self.said.get("json", b'{"status": "ok", "queue": [{"waiting": 3}]}'),
                    kind="application/json",
                )
            case "latin":
                return answer("Grüße".encode("latin-1"), kind="text/html; charset=iso-8859-1")
            case "odd_charset":
                return answer(b"caf\xe9 is open", kind="text/html; charset=klingon")
            case "echo":
                return answer(f"{head}{body}".encode())
            case "redirect":  # /redirect/301/ok
                status, _, target = rest.partition("/")
                return answer(b"", status=f"{status} Moved", head=f"Location: /{target}\r\n")
            case "elsewhere":  # /elsewhere/301/http://...
                status, _, target = rest.partition("/")
                return answer(b"", status=f"{status} Moved", head=f"Location: {target}\r\n")
            case "circle":
                return answer(b"", status="302 Found", head=f"Location: /circle/{1 - int(rest or 0)}\r\n")
            case "on_and_on":
                return answer(b"", status="302 Found", head=f"Location: /on_and_on/{int(rest or 0) + 1}\r\n")
            case "cookie":
                if "cookie: seen=1" in head.lower():
                    return answer(b"welcome back")
                return answer(b"", status="302 Found", head="Set-Cookie: seen=1\r\nLocation: /cookie\r\n")
            case "odd_bytes":
                return (
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/\xff\xfe\r\nX-\xfc: \xfc\r\n"
                    b"Content-Length: 4\r\n\r\nwell"
                )
            case "odd_redirect":
                return b"HTTP/1.1 302 \xfc\r\nLocation: /page/gr\xfc\xc3\x9fe\r\nContent-Length: 0\r\n\r\n"
            case "bomb":
                return answer(BOMB, head="Content-Encoding: gzip\r\n")
            case "bad_gzip":
                return answer(b"no gzip at all", head="Content-Encoding: gzip\r\n")
        return answer(b"nothing here", status="404 Not Found")

    async def _http2(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        speaker = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        speaker.initiate_connection()
        writer.write(speaker.data_to_send())
        while data := await reader.read(65536):
            for event in speaker.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    speaker.send_headers(event.stream_id, [(":status", "200"), ("content-type", "text/html")])
                    speaker.send_data(event.stream_id, b"spoken in frames", end_stream=True)
            writer.write(speaker.data_to_send())
            await writer.drain()

    async def _http2_reset(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        """Ends every stream with an error instead of an answer."""
        speaker = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        speaker.initiate_connection()
        writer.write(speaker.data_to_send())
        while data := await reader.read(65536):
            for event in speaker.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    speaker.reset_stream(event.stream_id, error_code=2)
            writer.write(speaker.data_to_send())
            await writer.drain()

    def _full(self) -> int:
        """A port whose queue is full: who connects gets no answer at all."""
        listener = socket.create_server((HOST, 0), backlog=0)
        self._held.append(listener)
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
            self._held.append(waiting)
        return int(listener.getsockname()[1])

    def note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Clients that leave are what a zoo is for; anything else is a mistake in here."""
        error = context.get("exception")
        if error is not None and not isinstance(error, OSError | EOFError | asyncio.CancelledError):
            self.mistakes.append(error)

    def stop(self) -> None:
        """In the loop's thread: take no more visitors."""
        for server in self._servers:
            server.close()

    def send_away(self) -> None:
        """In the loop's thread: let go of every visitor that is still there."""
        for writer in list(self._visitors):
            writer.transport.abort()

    def close(self) -> None:
        for held in self._held:
            held.close()


# --- animals that never come to a proper end; each is (zoo, reader, writer, head) ---


async def _silent(_zoo: Zoo, reader: asyncio.StreamReader, _writer: Writer, _head: str) -> None:
    await reader.read()


async def _slow_loris(_zoo: Zoo, _reader: asyncio.StreamReader, writer: Writer, _head: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-Slow: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _slow_body(_zoo: Zoo, _reader: asyncio.StreamReader, writer: Writer, _head: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _endless(_zoo: Zoo, _reader: asyncio.StreamReader, writer: Writer, _head: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x" * 65536)
        await writer.drain()


async def _endless_head(_zoo: Zoo, _reader: asyncio.StreamReader, writer: Writer, _head: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-More: " + b"y" * 8000 + b"\r\n")
        await writer.drain()


async def _hangs_up(_zoo: Zoo, _reader: asyncio.StreamReader, writer: Writer, _head: str) -> None:
    writer.close()


async def _resets(_zoo: Zoo, _reader: asyncio.StreamReader, writer: Writer, _head: str) -> None:
    _reset(writer)


async def _resets_midway(_zoo: Zoo, _reader: asyncio.StreamReader, writer: Writer, _head: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
    await writer.drain()
    await asyncio.sleep(0.1)
    _reset(writer)


async def _ends_early(_zoo: Zoo, _reader: asyncio.StreamReader, writer: Writer, _head: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
    await writer.drain()


async def _no_http(_zoo: Zoo, _reader: asyncio.StreamReader, writer: Writer, _head: str) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    await writer.drain()


async def _bad_chunks(_zoo: Zoo, _reader: asyncio.StreamReader, writer: Writer, _head: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a number\r\nx\r\n")
    await writer.drain()


async def _waits(reader: asyncio.StreamReader, _writer: Writer) -> None:
    await reader.read()


async def _hangs_up_at_once(reader: asyncio.StreamReader, writer: Writer) -> None:
    await reader.read(1)
    _reset(writer)


async def _greets(reader: asyncio.StreamReader, writer: Writer) -> None:
    writer.write(b"220 mail.example ready\r\n")
    await writer.drain()
    await reader.read()


def _reset(writer: Writer) -> None:
    """Close so that the other side sees a reset."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


ANIMALS: dict[str, Animal] = {
    "silent": _silent,
    "slow_loris": _slow_loris,
    "slow_body": _slow_body,
    "endless": _endless,
    "endless_head": _endless_head,
    "hangs_up": _hangs_up,
    "resets": _resets,
    "resets_midway": _resets_midway,
    "ends_early": _ends_early,
    "no_http": _no_http,
    "bad_chunks": _bad_chunks,
}


@contextmanager
def running(directory: Path) -> Iterator[Zoo]:
    """The zoo, open until the end."""
    zoo = Zoo(directory)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(zoo.note)
    loop.run_until_complete(zoo.open())
    thread = threading.Thread(target=loop.run_forever, name="zoo", daemon=True)
    thread.start()
    try:
        yield zoo
    finally:

        async def leave() -> None:
            zoo.stop()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            zoo.send_away()
            await asyncio.sleep(0.05)  # transports say farewell in the loop

        asyncio.run_coroutine_threadsafe(leave(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        zoo.close()
        loop.close()
    assert not zoo.mistakes, zoo.mistakes
