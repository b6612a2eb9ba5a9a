"""Whether a network address is one of the public Internet. It resolves no name and opens no connection."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_EMBEDDED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("::/96"))
"""Translation prefixes (RFC 6052, 8215) and the old IPv4-compatible addresses: the last four bytes count."""


def is_public(address: str) -> bool:
    """Whether an IP address, with or without a zone, belongs to the public Internet.

    False for private, loopback, link-local, shared, multicast, reserved and unspecified addresses (IANA's
    special-purpose registries), also where IPv6 carries them inside, and for what is no address.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _carried(found) if isinstance(found, IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    return found.is_global and not found.is_multicast


def _carried(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a mapped, 6to4, Teredo or translated address leads to."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _EMBEDDED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
