"""One look at a TCP port, and what it says first. Blocks: called in a thread of its own. Sends nothing."""

from __future__ import annotations

import errno
import os
import socket
import time

from aegis_lib.sites.model import Watched
from aegis_lib.sites.seen import Failure, FailureKind, Probe
from aegis_lib.web.addresses import inner

_LARGEST_BANNER_BYTES = 4_096
_FAMILIES = {"any": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}


def look(watched: Watched) -> Probe:
    """Connect, and read until the expected words, the time or 4 kB are over."""
    site, limit = watched.site, watched.terms.timeout_seconds
    host, port = site.endpoint
    seen = Probe(site=site.name, url=site.target)
    began = time.monotonic()
    try:
        found = socket.getaddrinfo(host, port, _FAMILIES[site.ip], socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return _failed(seen, FailureKind.DNS, f"the name {host} cannot be resolved", began)
    resolved = time.monotonic()
    seen = seen.model_copy(update={"dns_ms": (resolved - began) * 1000})
    refused = ""
    problem = Failure(kind=FailureKind.CONNECT, words=f"no connection to {host}, port {port}")
    for family, kind, protocol, _, place in found:
        address = str(place[0])
        if not site.allow_private_addresses and (what := inner(address)):
            refused = refused or (
                f"{host} leads to {address}, {what}: not asked, "
                "because its entry lacks allow_private_addresses"
            )
            continue
        left = limit - (time.monotonic() - began)
        if left <= 0:
            break
        try:
            with socket.socket(family, kind, protocol) as connection:
                connection.settimeout(left)
                start = time.monotonic()
                connection.connect(place)
                seen = seen.model_copy(
                    update={"address": address, "connect_ms": (time.monotonic() - start) * 1000}
                )
                return _listen(connection, watched, seen, began)
        except TimeoutError:
            problem = Failure(kind=FailureKind.TIMEOUT, words=f"no connection within {limit:g} s")
        except OSError as error:
            problem = Failure(kind=FailureKind.CONNECT, words=_unconnected(error, host, port))
    if refused and problem.kind is FailureKind.CONNECT and seen.address is None:
        return _failed(seen, FailureKind.REFUSED_ADDRESS, refused, began)
    return _failed(seen, problem.kind, problem.words, began)


def _listen(connection: socket.socket, watched: Watched, seen: Probe, began: float) -> Probe:
    """What it says first, where that is expected."""
    wanted = watched.site.banner
    heard = b""
    if wanted is not None:
        deadline = began + watched.terms.timeout_seconds
        while wanted.encode() not in heard and len(heard) < _LARGEST_BANNER_BYTES:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            connection.settimeout(left)
            try:
                more = connection.recv(_LARGEST_BANNER_BYTES - len(heard))
            except TimeoutError:
                break
            except OSError:
                more = b""
            if not more:
                break
            heard += more
    return seen.model_copy(
        update={
            "answers": (heard.decode("utf-8", "replace"),) if heard else (),
            "size_bytes": len(heard),
            "total_ms": (time.monotonic() - began) * 1000,
        }
    )


def _unconnected(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.ECONNREFUSED:
        return f"{host} refused the connection to port {port}"
    return f"{host} cannot be reached: {os.strerror(error.errno).lower() if error.errno else error}"


def _failed(seen: Probe, kind: FailureKind, words: str, began: float) -> Probe:
    total = (time.monotonic() - began) * 1000
    return seen.model_copy(update={"failure": Failure(kind=kind, words=words), "total_ms": total})
