"""What some faults need around the stack: a small disk, and a network of its own for the worker.

Needs root and Linux. Nothing of it outlives its `with`.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Unavailable(RuntimeError):
    """This machine does not let us make it."""


class SmallDisk:
    """A disk of a few megabytes on which logs and scratch files lie."""

    def __init__(self, place: Path) -> None:
        self._filler = place / "filler"

    def fill(self) -> None:
        """Leave no byte on it."""
        with self._filler.open("ab", buffering=0) as file:
            for block in (b"\0" * 65536, b"\0" * 512):
                try:
                    while file.write(block):
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def empty(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(data: Path, megabytes: int = 4) -> Iterator[SmallDisk]:
    """One small disk that is both the directory of the logs and that of the scratch files of an installation.

    Raises:
        Unavailable: we may not mount.
    """
    places = [data / "logs", data / "tmp"]
    for place in places:
        place.mkdir(parents=True)
    mounts = [
        ("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(places[0])),
        ("mount", "--bind", str(places[0]), str(places[1])),
    ]
    mounted: list[Path] = []
    try:
        for command, place in zip(mounts, places, strict=True):
            _run(*command)
            mounted.append(place)
        yield SmallDisk(places[0])
    finally:
        for place in reversed(mounted):
            subprocess.run(("umount", "--lazy", str(place)), check=False)


class Network:
    """A worker's own network, joined to this machine by one cable.

    `host` is this machine's address there; what arrives there for `port` is handed to the loopback address,
    on which the server listens.
    """

    host, guest = "10.213.77.1", "10.213.77.2"

    def __init__(self, port: int) -> None:
        mark = f"{os.getpid() % 100000}"
        self.namespace, self._near, self._far = f"aegis{mark}", f"aega{mark}", f"aegb{mark}"
        self._port = port

    @property
    def url(self) -> str:
        """The server's API as the worker reaches it."""
        return f"http://{self.host}:{self._port}/api"

    def lay(self) -> None:
        """Make it."""
        _run("ip", "netns", "add", self.namespace)
        _run("ip", "link", "add", self._near, "type", "veth", "peer", "name", self._far)
        _run("ip", "link", "set", self._far, "netns", self.namespace)
        _run("ip", "addr", "add", f"{self.host}/30", "dev", self._near)
        _run("ip", "link", "set", self._near, "up")
        inside = ("ip", "-n", self.namespace)
        _run(*inside, "addr", "add", f"{self.guest}/30", "dev", self._far)
        _run(*inside, "link", "set", self._far, "up")
        _run(*inside, "link", "set", "lo", "up")
        Path(f"/proc/sys/net/ipv4/conf/{self._near}/route_localnet").write_text("1")
        _run("iptables", "-t", "nat", "-A", *self._redirection())

    def _redirection(self) -> tuple[str, ...]:
        wanted = ("-i", self._near, "-p", "tcp", "--dport", str(self._port))
        return ("PREROUTING", *wanted, "-j", "DNAT", "--to-destination", f"127.0.0.1:{self._port}")

    def cut(self) -> None:
        """Unplug the cable: from now on every packet is lost, and nobody is told."""
        _run("ip", "link", "set", self._near, "down")

    def mend(self) -> None:
        """Plug it in again."""
        _run("ip", "link", "set", self._near, "up")

    def remove(self) -> None:
        """Unmake it, as far as it was made."""
        with suppress(Unavailable):
            _run("iptables", "-t", "nat", "-D", *self._redirection())
        with suppress(Unavailable):
            _run("ip", "link", "del", self._near)
        with suppress(Unavailable):
            _run("ip", "netns", "del", self.namespace)


@contextmanager
def network(port: int) -> Iterator[Network]:
    """A network for the worker of a server on that port.

    Raises:
        Unavailable: we may not make one, or `ip` and `iptables` are not installed.
    """
    made = Network(port)
    try:
        made.lay()
        yield made
    finally:
        made.remove()


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is not installed.") from error
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise Unavailable(f"{' '.join(command)}: {said.strip()}") from error
