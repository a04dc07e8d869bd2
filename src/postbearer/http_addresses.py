"""Which addresses a URL may lead to that somebody gave us: nothing of one's own network (SSRF).

What counts is the address that is connected to, not the name in the URL: a name may lead anywhere, and
elsewhere a moment later.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# Networks of one's own: this machine, RFC 1918, RFC 6598 (carrier-grade NAT), RFC 4193.
PRIVATE: Final = _networks(
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
    *("::1/128", "fc00::/7"),
)
# What else nobody's server is at (IANA's special-purpose registries), or what leads to another address. The
# services that clouds give their machines are at link-local ones.
_SPECIAL: Final = _networks(
    *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
)
NO_ADDRESS: Final = "no address"
_GLOBAL: Final = ipaddress.IPv6Network("2000::/3")  # all else of IPv6 is special (RFC 4291 2.4)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Public addresses may be called; with `private` one's own networks too; `networks` anyway."""

    private: bool = False
    networks: tuple[Network, ...] = ()

    @classmethod
    def allowing(cls, given: bool | Iterable[str]) -> AddressRules:
        """One's own networks all or none, or those that are named."""
        if isinstance(given, bool):
            return cls(private=given)
        return cls(networks=tuple(ipaddress.ip_network(each) for each in given))

    def refusal(self, text: str) -> str:
        """Why the address may not be called; empty if it may."""
        try:
            address = _meant(ipaddress.ip_address(text.partition("%")[0]))
        except ValueError:
            return NO_ADDRESS
        if _among(address, self.networks):
            return ""
        if _among(address, PRIVATE):
            return "" if self.private else "an address of this machine or of a private network"
        return "" if is_public(address) else "an address that no server on the Internet has"


def is_public(address: Address) -> bool:
    """Whether it is one that servers on the Internet have."""
    address = _meant(address)
    if _among(address, PRIVATE) or _among(address, _SPECIAL):
        return False
    return address.version == 4 or address in _GLOBAL


def _meant(address: Address) -> Address:
    """The IPv4 address in one of IPv6 that leads there (RFC 4291 2.5.5.2, RFC 6052)."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _among(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == each.version and address in each for each in networks)
