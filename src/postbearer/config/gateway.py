"""The gateway of a container's network, from which anybody may seem to come: where it is, and doubts."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

from postbearer.config.relay import RelaySettings
from postbearer.config.validation import Problem

Address = IPv4Address | IPv6Address

_SIGNS = ("/.dockerenv", "/run/.containerenv")  # Docker, Podman
_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))
_CURE = (
    "Give the client a username and a password-hash in place of networks; or have a balancer tell who "
    "connects, by proxy-protocol; or name networks without the gateway's address."
)


def container_gateways() -> tuple[Address, ...]:
    """The default gateways, where this is a container; on a machine there is no doubt about one."""
    named = os.environ.get("container")  # noqa: SIM112 - so systemd's container interface has it
    inside = named or os.environ.get("KUBERNETES_SERVICE_HOST")
    if not inside and not any(os.path.exists(each) for each in _SIGNS):
        return ()
    return (*_routes("route", _ipv4), *_routes("ipv6_route", _ipv6))


def gateway_doubts(relay: RelaySettings, gateways: Sequence[Address]) -> Iterator[Problem]:
    """Clients without a login, and trusted proxies, whose network contains a gateway.

    What comes through a published port may come from there: it is somebody else's address for anybody.
    """
    open_doors = [each for each in relay.listeners if not each.proxy_protocol and not _inner(each.address)]
    if open_doors or any(not _inner(each) for each in relay.listen):
        for index, client in enumerate(relay.clients):
            if not client.username and (found := _met(client.networks, gateways)):
                what = (
                    f"contain {found}, the gateway of this container's network, from which everybody may "
                    "come who connects to a published port: all of them could send"
                )
                yield Problem(("relay", "clients", index, "networks"), what, _CURE)
    for index, listener in enumerate(relay.listeners):
        if listener.proxy_protocol and (found := _met(listener.trusted_proxies, gateways)):
            what = (
                f"contain {found}, the gateway of this container's network: what comes from there is believed"
            )
            hint = "Name the balancer's own address, or take the published port away."
            yield Problem(("relay", "listeners", index, "trusted-proxies"), what, hint)


def _inner(address: str) -> bool:
    """Whether nobody from outside the container can connect there."""
    if address.startswith("unix:"):
        return True
    try:
        host = ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:  # systemd:NAME, a host's name
        return False
    return any(host.version == each.version and host in each for each in _LOOPBACK)


def _met(networks: Sequence[str], gateways: Sequence[Address]) -> Address | None:
    held = [ip_network(each) for each in networks]
    return next((each for each in gateways if any(each in network for network in held)), None)


def _routes(name: str, read: Callable[[list[str]], Address | None]) -> Iterator[Address]:
    try:
        lines = Path("/proc/net", name).read_text().splitlines()
    except OSError:
        return
    for line in lines:
        if (found := read(line.split())) is not None and int(found):
            yield found


def _ipv4(words: list[str]) -> Address | None:
    """Of a line of /proc/net/route: interface, destination, gateway; octets as the machine orders them."""
    if len(words) < 8 or words[1] != "00000000" or words[7] != "00000000":
        return None
    return IPv4Address(socket.ntohl(int(words[2], 16)))


def _ipv6(words: list[str]) -> Address | None:
    """Of a line of /proc/net/ipv6_route: destination, its length, source, its length, next hop."""
    if len(words) < 5 or int(words[0], 16) or words[1] != "00":
        return None
    return IPv6Address(int(words[4], 16))
