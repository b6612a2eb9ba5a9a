"""One look at a DNS record. Blocks: called in a thread of its own. Compares nothing with what is expected."""

from __future__ import annotations

import time

import dns.exception
import dns.rdata
import dns.resolver

from aegis_lib.sites.model import DnsExpectation, Watched
from aegis_lib.sites.seen import Failure, FailureKind, Probe


def look(watched: Watched) -> Probe:
    """Ask for the record, and over TCP where the answer is too long for UDP."""
    site, limit = watched.site, watched.terms.timeout_seconds
    wanted = site.dns or DnsExpectation(name="invalid")
    seen = Probe(site=site.name, url=site.target)
    began = time.monotonic()
    try:
        place = wanted.server_place
        resolver = dns.resolver.Resolver(configure=place is None)
        if place is not None:
            resolver.port = place[1]  # first: the next line takes it
            resolver.nameservers = [place[0]]
        resolver.timeout = max(0.5, limit / 3)  # of one server: the next is asked then
        resolver.lifetime = limit
        found = resolver.resolve(wanted.name, wanted.record, search=False)
        answers = tuple(sorted(_text(one) for one in found))
        took = (time.monotonic() - began) * 1000
        return seen.model_copy(update={"answers": answers, "dns_ms": took, "total_ms": took})
    except dns.resolver.NXDOMAIN:
        failure = Failure(kind=FailureKind.DNS, words=f"there is no name {wanted.name}")
    except dns.resolver.NoAnswer:
        failure = Failure(kind=FailureKind.DNS, words=f"{wanted.name} has no {wanted.record} record")
    except dns.exception.Timeout:
        failure = Failure(kind=FailureKind.TIMEOUT, words=f"no name server answered within {limit:g} s")
    except dns.resolver.NoNameservers:
        failure = Failure(
            kind=FailureKind.DNS, words=f"the name servers cannot say what {wanted.name} {wanted.record} is"
        )
    except (dns.exception.DNSException, OSError) as error:
        failure = Failure(
            kind=FailureKind.DNS, words=f"{wanted.name} {wanted.record} cannot be asked: {error}"
        )
    return seen.model_copy(update={"failure": failure, "total_ms": (time.monotonic() - began) * 1000})


def _text(one: dns.rdata.Rdata) -> str:
    """The record as people write it: names without a dot at the end, texts without quotes."""
    strings = getattr(one, "strings", None)
    if strings is not None:
        return b"".join(strings).decode("utf-8", "replace")
    return " ".join(word.removesuffix(".") for word in one.to_text().split())
