"""The way of a browser to the network: a SOCKS5 proxy (RFC 1928) that looks at every address it connects to.

A page is a stranger's: by a redirect, a frame, a script or a name whose address changes it could make the
browser ask an inner service. Names are therefore resolved here, judged by the address that they lead to, and
that very address is connected to; the browser resolves none itself. Each page has a gate of its own, a port
that only the browser's machine may use. It must not look into what passes.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Collection
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

from aegis_lib.logs import get_logger
from aegis_lib.web.addresses import inner

MOST_BYTES = 100 * 1024 * 1024
"""What one page may load."""
MOST_CONNECTIONS = 64
_CONNECT_SECONDS = 10.0
_HANDSHAKE_SECONDS = 10.0
_CHUNK = 64 * 1024
_SUCCEEDED, _NOT_ALLOWED, _UNREACHABLE, _REFUSED, _NO_SUCH_COMMAND = 0, 2, 4, 5, 7
log = get_logger(__name__)


class _Denied(Exception):
    """Why a connection is not made, with SOCKS's number for it."""

    def __init__(self, code: int, reason: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(reason)


class Gate:
    """One page's way out. `problem`: why a connection was last not made; `refused` are inner hosts."""

    def __init__(self, *, allow_private: bool, peers: Collection[str], most_bytes: int = MOST_BYTES) -> None:
        self.problem: str | None = None
        self.refused: list[str] = []
        self.received = 0
        self._allow_private = allow_private
        self._peers = frozenset(peers)
        self._most_bytes = most_bytes
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, host: str) -> None:
        """Listen on a free port of that address of ours."""
        self._server = await asyncio.start_server(self._accepted, host, 0)

    @property
    def address(self) -> str:
        """The proxy's address as browsers take it."""
        if self._server is None:
            raise RuntimeError("the gate is not open")
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"socks5://[{host}]:{port}" if ":" in host else f"socks5://{host}:{port}"

    async def close(self) -> None:
        """End every connection, and listen no more."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def too_much(self) -> bool:
        """Whether the page loaded more than it may."""
        return self.received > self._most_bytes

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        peer = writer.get_extra_info("peername")[0]
        if peer not in self._peers:
            self.problem = f"a connection from {peer}, which is not the browser, was refused"
        if task is None or peer not in self._peers or len(self._connections) >= MOST_CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # one side went away
        except asyncio.CancelledError:
            pass  # the gate is closing; this task does nothing else
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            host, port = await _asked_for(reader, writer)
        try:
            there, out = await self._connected(host, port)
        except _Denied as denied:
            self.problem = denied.reason
            await _answer(writer, denied.code)
            return
        try:
            await _answer(writer, _SUCCEEDED)
            await self._relay(reader, writer, there, out)
        finally:
            out.close()

    async def _connected(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to an address of that host which may be reached."""
        problem = _Denied(_UNREACHABLE, f"{host} has no address")
        for address in await self._addresses(host, port):
            if not self._allow_private and (kind := inner(address)) is not None:
                self.refused.append(host)
                shown = host if host == address else f"{host} ({address})"
                problem = _Denied(_NOT_ALLOWED, f"{shown} is {kind}, which the site's entry does not allow")
                log.info("picture_address_refused", host=host, address=address)
                continue
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    return await asyncio.open_connection(address, port)
            except TimeoutError:
                problem = _Denied(_UNREACHABLE, f"{host} port {port} did not answer")
            except OSError as error:
                said = os.strerror(error.errno).lower() if error.errno else type(error).__name__
                problem = _Denied(_REFUSED, f"{host} port {port}: {said}")
        raise problem

    @staticmethod
    async def _addresses(host: str, port: int) -> list[str]:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise _Denied(_UNREACHABLE, f"the name {host} was not resolved in time") from None
        except (OSError, UnicodeError):
            raise _Denied(_UNREACHABLE, f"the name {host} has no address") from None
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        out: asyncio.StreamWriter,
    ) -> None:
        """Pass bytes both ways until either side ends."""
        ways = [
            asyncio.create_task(self._pass(reader, out, count=False)),
            asyncio.create_task(self._pass(there, writer, count=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, count: bool) -> None:
        with suppress(OSError):
            while data := await source.read(_CHUNK):
                if count:
                    self.received += len(data)
                    if self.too_much:
                        return
                sink.write(data)
                await sink.drain()


async def _asked_for(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    """Host and port that the browser asks for."""
    version, methods = await reader.readexactly(2)
    offered = await reader.readexactly(methods)
    if version != 5 or 0 not in offered:
        raise OSError("no SOCKS5 without a login")
    writer.write(b"\x05\x00")
    await writer.drain()
    version, command, _, kind = await reader.readexactly(4)
    if kind == 1:
        host = str(IPv4Address(await reader.readexactly(4)))
    elif kind == 4:
        host = str(IPv6Address(await reader.readexactly(16)))
    elif kind == 3:
        length = (await reader.readexactly(1))[0]
        host = (await reader.readexactly(length)).decode("ascii", "replace").strip("[]")
    else:
        raise OSError("an unknown kind of address")
    port = int.from_bytes(await reader.readexactly(2), "big")
    if command != 1:
        await _answer(writer, _NO_SUCH_COMMAND)
        raise OSError("only connections are made")
    return host, port


async def _answer(writer: asyncio.StreamWriter, code: int) -> None:
    writer.write(bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0]))
    await writer.drain()
