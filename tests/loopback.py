"""Ports of this machine for servers that tests start. Holds none open."""

from __future__ import annotations

import random
import socket

_BELOW_THE_EPHEMERAL = range(20_000, 32_000)


def free_port() -> int:
    """A port of loopback that nobody listens on.

    Not one that the system would give to an outgoing connection, which could take it before the server does.
    """
    while True:
        port = random.choice(_BELOW_THE_EPHEMERAL)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
