"""Which addresses belong to the public internet. For whatever opens addresses that strangers can choose.

An address may hide another: IPv4 inside IPv6 is judged as the IPv4 that it leads to. It resolves no names: a
name must be judged by the address that the connection really goes to.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""Translation prefixes (RFC 6052, RFC 8215)."""
_COMPATIBLE = IPv6Network("::/96")


def inner(address: str) -> str | None:
    """What kind of address it is, such as `a private address`; None for one of the public internet.

    What is no address at all counts as not public.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return "no internet address"
    if isinstance(found, IPv6Address):
        hidden = _hidden(found)
        found = found if hidden is None else hidden
    if found.is_loopback:
        return "an address of this machine itself"
    if found.is_link_local:
        return "a link-local address"
    if found.is_multicast:
        return "a multicast address"
    if found.is_unspecified:
        return "no address to connect to"
    return None if found.is_global else "a private address"


def _hidden(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in prefix for prefix in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
