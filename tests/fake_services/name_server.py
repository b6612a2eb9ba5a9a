"""A name server of the tests, over UDP on one port of this machine."""

from __future__ import annotations

import asyncio
from typing import cast

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

RECORDS = {
    ("shop.example.", "A"): ("192.0.2.10", "192.0.2.11"),
    ("shop.example.", "MX"): ("10 mail.shop.example.",),
    ("shop.example.", "TXT"): ('"v=spf1 -all" " and more"',),
}


class NameServer(asyncio.DatagramProtocol):
    """A name server for RECORDS. `silent.example` gets no answer, `broken.example` SERVFAIL."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
        if name.startswith("silent."):
            return
        reply = dns.message.make_response(query)
        if name.startswith("broken."):
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif not any(known == name for known, _ in RECORDS):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif found := RECORDS.get((name, kind)):
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *found))
        self.transport.sendto(reply.to_wire(), addr)
