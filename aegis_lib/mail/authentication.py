"""Whether the sender's address is the sender's: Authentication-Results, RFC 8601. Pure; looks nothing up.

Anybody can write such a header into a mail. Believed is only the topmost one, and only when a server wrote it
that the reader trusts: what stands further down may have come with the mail. RFC 8601 section 5 wants
receiving servers to remove forged ones; not all do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple

from aegis_lib.mail.model import Mail

_LONGEST_RESULTS = 2_000
_PROPERTY = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\s*=\s*(?:\"([^\"]*)\"|([^\s;\"]+))", re.IGNORECASE)
_RESULT = re.compile(r"([a-z0-9-]+)(?:\s*/\s*\d+)?\s*=\s*([a-z]+)", re.IGNORECASE)


class Trust(StrEnum):
    """What is known about the sender's address."""

    CONFIRMED = "confirmed"
    """A server that the reader trusts says that the mail comes from the sender's domain."""
    UNKNOWN = "unknown"
    """Nobody trusted says anything."""
    REFUTED = "refuted"
    """A server that the reader trusts says that it does not."""


class Sender(NamedTuple):
    """The trust and why, in words for the reader."""

    trust: Trust
    why: str


class _Result(NamedTuple):
    method: str
    result: str
    properties: dict[str, str]


def sender(mail: Mail, trusted_servers: Sequence[str]) -> Sender:
    """Whether the address in From is the sender's.

    DMARC (RFC 7489) says so by itself. Without it a DKIM signature (RFC 6376) or SPF (RFC 7208) counts when
    its domain is the one of the address, one above or one below it.
    """
    domain = domain_of(mail.from_email)
    if not domain:
        return Sender(Trust.UNKNOWN, "the mail names no sender")
    if len(mail.headers.get("from", ())) > 1 or "several senders" in mail.defects:
        return Sender(Trust.REFUTED, "the mail names several senders")
    if not trusted_servers:
        return Sender(Trust.UNKNOWN, "no server is named whose word about senders counts")
    top = mail.header("authentication-results")[:_LONGEST_RESULTS]
    if not top:
        return Sender(Trust.UNKNOWN, "the receiving server says nothing about the sender")
    server, *statements = _statements(top)
    server = (server.split() or [""])[0].lower()
    if not any(fnmatchcase(server, pattern.lower()) for pattern in trusted_servers):
        return Sender(Trust.UNKNOWN, "no trusted server wrote what the mail says about its sender")
    return _judged(domain, [found for found in map(_result, statements) if found], server)


def _judged(domain: str, results: Sequence[_Result], server: str) -> Sender:
    dmarc = next((found for found in results if found.method == "dmarc"), None)
    if dmarc is not None:
        about = dmarc.properties.get("header.from", domain).lower()
        if dmarc.result == "pass" and domain_of(about) == domain:
            return Sender(Trust.CONFIRMED, f"{server} confirms {domain} (DMARC)")
        if dmarc.result == "fail":
            return Sender(Trust.REFUTED, f"{server} says that it does not come from {domain} (DMARC)")
    for method, names in (("dkim", ("header.d", "header.i")), ("spf", ("smtp.mailfrom", "smtp.helo"))):
        for found in results:
            if found.method != method or found.result != "pass":
                continue
            about = next((found.properties[name] for name in names if name in found.properties), "")
            if _aligned(domain_of(about), domain):
                return Sender(Trust.CONFIRMED, f"{server} confirms {domain} ({method.upper()})")
    spf = next((found for found in results if found.method == "spf"), None)
    if spf is not None and spf.result == "fail":
        mailfrom = domain_of(spf.properties.get("smtp.mailfrom", domain))
        if _aligned(mailfrom, domain):
            return Sender(Trust.REFUTED, f"{server} says that it does not come from {domain} (SPF)")
    return Sender(Trust.UNKNOWN, f"{server} neither confirms nor refutes {domain}")


def domain_of(address: str) -> str:
    """The part behind the last `@`, or the whole where there is none; lower case, no dot at the end."""
    return address.rpartition("@")[2].strip("<> ").rstrip(".").lower()


def _aligned(one: str, other: str) -> bool:
    """The same domain, or one below the other; a name without a dot is no domain."""
    if "." not in one or "." not in other:
        return False
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _statements(value: str) -> list[str]:
    """The parts between semicolons, without comments; quoted strings stay whole."""
    return ["".join(part) for part in _split(value)]


def _split(value: str) -> Iterator[list[str]]:
    part: list[str] = []
    depth, quoted, escaped = 0, False, False
    for letter in value:
        if escaped:
            escaped = False
            if quoted and not depth:
                part.append(" ")  # what needs escaping is in no domain and no result
        elif letter == "\\" and (quoted or depth):
            escaped = True
        elif letter == '"' and not depth:
            quoted = not quoted
            part.append(letter)
        elif letter == "(" and not quoted:
            depth += 1
        elif letter == ")" and depth and not quoted:
            depth -= 1
        elif depth:
            continue
        elif letter == ";" and not quoted:
            yield part
            part = []
        else:
            part.append(letter)
    yield part


def _result(statement: str) -> _Result | None:
    found = _RESULT.match(statement.strip())
    if found is None:
        return None
    properties = {
        f"{kind}.{name}".lower(): quoted or bare
        for kind, name, quoted, bare in _PROPERTY.findall(statement[found.end() :])
    }
    return _Result(found[1].lower(), found[2].lower(), properties)
