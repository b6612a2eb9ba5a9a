"""The sites of bench/sites.py: many ports in one process, with latency, errors, TLS and resets to order.

    python bench/site_server.py --sites 1000 --latency-ms 20 --errors 0.01 --loss 0.01 --tls 0.1

Prints its addresses as one JSON line, then serves until its standard input ends. A line there such as
`down 10` takes the first ten sites away, `down 0` brings them back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import socket
import ssl
import struct
import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.fake_services.authority import issue, serving

HOST = "127.0.0.1"
BODY = b"<html><title>ok</title>" + b"<p>All is well here.</p>" * 40
GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
ERROR = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


class Fleet:
    """What all sites share: how they misbehave."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.random = random.Random(given.seed)
        self.down = 0
        self.loop = asyncio.get_running_loop()


class Speaker(asyncio.Protocol):
    """One connection to one site."""

    def __init__(self, fleet: Fleet, number: int, answer: bytes) -> None:
        self.fleet, self.number, self.answer = fleet, number, answer
        self.heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.heard += data
        while b"\r\n\r\n" in self.heard:
            _, _, self.heard = self.heard.partition(b"\r\n\r\n")
            self.respond()

    def respond(self) -> None:
        if self.number < self.fleet.down or self.fleet.random.random() < self.fleet.given.loss:
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()  # type: ignore[attr-defined]
        elif self.fleet.given.latency_ms:
            wait = self.fleet.random.expovariate(1 / self.fleet.given.latency_ms) / 1000
            self.fleet.loop.call_later(min(wait, 1.0), self.say)
        else:
            self.say()

    def say(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.answer)  # type: ignore[attr-defined]


async def serve(given: argparse.Namespace) -> None:
    fleet = Fleet(given)
    context: ssl.SSLContext | None = None
    if given.tls:
        root = issue("Bench Authority", authority=True)
        (given.directory / "authority.pem").write_bytes(root.pem)
        context = serving(given.directory, "site", issue(HOST, issuer=root))
    urls, servers, failing = [], [], []
    for number in range(given.sites):
        secure = number < given.sites * given.tls
        broken = not secure and number >= given.sites * (1 - given.errors)
        answer = ERROR if broken else GOOD
        server = await fleet.loop.create_server(
            lambda number=number, answer=answer: Speaker(fleet, number, answer),
            HOST, 0, backlog=64, ssl=context if secure else None,
        )  # fmt: skip
        servers.append(server)
        failing.append(broken)
        urls.append(f"http{'s' if secure else ''}://{HOST}:{server.sockets[0].getsockname()[1]}/")
    print(json.dumps({"urls": urls, "failing": failing}), flush=True)
    reader = asyncio.StreamReader()
    await fleet.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        fleet.down = int(line.split()[1])
        print("done", flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sites", type=int, default=1000)
    arguments.add_argument("--latency-ms", type=float, default=0)
    arguments.add_argument("--errors", type=float, default=0)
    arguments.add_argument("--loss", type=float, default=0)
    arguments.add_argument("--tls", type=float, default=0)
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--directory", type=Path, default=Path())
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(serve(arguments.parse_args()))
