"""Who may submit: what a network or a login makes of a stranger. Pure.

Open by default is one thing only: this machine itself, without a login. Everybody else has to be named
by ``[[relay.clients]]``, by network, by login, or by both.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from postbearer.config import network
from postbearer.engine import Submitter
from postbearer.errors import ConfigError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOCAL = Submitter(name="local")
OUTBOX = Submitter(name="outbox")
API_CLIENT = "token:"  # so begin the names of clients that are known by a token of their own …
LOCAL_USER = "user:"  # … and those of users of this machine, who have the rights of `LOCAL`


@dataclass(frozen=True, slots=True)
class Admission:
    """One ``[[relay.clients]]`` table: who somebody is, and how that is known."""

    client: Submitter
    networks: tuple[Network, ...] = ()
    username: str = ""
    password_hash: str = field(default="", repr=False)  # argon2id, as a PHC string
    roles: tuple[str, ...] = ()  # of the database, as which it hands over by the outbox

    def covers(self, address: str) -> bool:
        """Whether `address` may be this client at all; without networks, any address may."""
        return not self.networks or within(address, self.networks)


class Access:
    """The clients of one relay."""

    def __init__(self, admissions: Sequence[Admission] = (), *, by_token: bool = False) -> None:
        """`by_token`: clients may be known by nothing but a token of the HTTP API."""
        self._admissions = tuple(admissions)
        self._names = {admission.client.name: admission for admission in self._admissions}
        # Found by name and by network, however many there are: a network is its version, length and number.
        self._roles: dict[str, Submitter] = {}
        self._logins: dict[str, list[Admission]] = defaultdict(list)
        self._networks: dict[tuple[int, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, admission in enumerate(self._admissions):
            self._logins[admission.username].append(admission)
            for each in admission.networks:
                found = self._networks[each.version, each.prefixlen]
                found[int(each.network_address) >> each.max_prefixlen - each.prefixlen].append(number)
            self._roles.update(dict.fromkeys(admission.roles, admission.client))
            if not (admission.networks or admission.username or admission.roles or by_token):
                raise ConfigError(
                    f"The client {admission.client.name} could be anybody.",
                    key="relay.clients",
                    hint="Name its networks, or give it a username and a password-hash.",
                )

    @property
    def clients(self) -> tuple[Submitter, ...]:
        """All that are named."""
        return tuple(each.client for each in self._admissions)

    @property
    def hashes(self) -> tuple[str, ...]:
        """The password hashes of all who log in."""
        return tuple(each.password_hash for each in self._admissions if each.username)

    def named(self, name: str) -> Admission | None:
        """The client of that name."""
        return self._names.get(name)

    def known(self, name: str, local: Submitter) -> Submitter | None:
        """Who has handed in under that name, if anybody may do so any more; `local` is this machine."""
        admission = self._names.get(name)
        if admission is not None:
            return admission.client
        if name == LOCAL.name:
            return local
        if name.startswith(LOCAL_USER):
            return replace(local, name=name)
        return Submitter(name=name) if name == OUTBOX.name or name.startswith(API_CLIENT) else None

    def by_network(self, address: str, *, legacy: bool = False) -> Submitter | None:
        """Who a connection from `address` is without a login; ``""`` is a Unix socket.

        A table that names the network goes before the rule that this machine is trusted. On a legacy
        listener only legacy clients are known.
        """
        admissions = [self._admissions[number] for number in self._covering(address)]
        for admission in admissions:
            if not admission.username and admission.client.legacy is legacy:
                return admission.client
        if legacy or admissions:
            return None
        return LOCAL if is_loopback(address) else None

    def by_role(self, role: str) -> Submitter | None:
        """Who hands over as `role` of the database.

        While no client is known by one, the database alone says who may.
        """
        return self._roles.get(role) if self._roles else OUTBOX

    def why_not(self, address: str, *, legacy: bool = False) -> str:
        """Why whoever comes from `address` is nobody without a login, and what to do about it."""
        local = is_loopback(address)
        here = '["127.0.0.0/8", "::1"]' if local else f'["{address}"]'
        covering = [self._admissions[number] for number in self._covering(address)]
        kind = " and legacy = true" if legacy else ""
        add = f"add a [[relay.clients]] with networks = {here}{kind}"
        if legacy:
            return (
                f"A legacy listener lets in only clients that are for one, and none names its network: {add}."
            )
        name = covering[0].client.name if covering else ""
        if any(each.username for each in covering):
            return (
                f"It did not log in, and the client {name} names its network with a login, which keeps out "
                f"who has none: have it log in, or {add} and no username."
            )
        if covering:
            return f"The client {name} names its network for legacy listeners only: {add}, without legacy."
        return f"It did not log in, and no client names its network: have it log in, or {add}."

    def by_login(self, username: str, address: str) -> Admission | None:
        """The client that logs in as `username`, if it may from `address`."""
        for admission in self._logins.get(username, ()):
            if admission.covers(address):
                return admission
        return None

    def _covering(self, address: str) -> list[int]:
        """The numbers of those with a network that `address` is in, in their order."""
        parsed = _parse(address)
        if parsed is None:
            return []
        found: set[int] = set()
        for (version, length), numbers in self._networks.items():
            if version == parsed.version:
                found.update(numbers.get(int(parsed) >> parsed.max_prefixlen - length, ()))
        return sorted(found)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """``192.0.2.0/24`` or single addresses. Raises `ConfigError`."""
    for text in texts:
        if wrong := network(text):
            raise ConfigError(f"{wrong[0]}.", key="networks", hint=wrong[1])
    return tuple(ipaddress.ip_network(text) for text in texts)


def within(address: str, networks: Sequence[Network]) -> bool:
    """Whether `address` is in one of `networks`."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in each for each in networks)


def is_loopback(address: str) -> bool:
    """Whether a client at `address` is on this machine; ``""`` is a Unix socket."""
    parsed = _parse(address)
    return address == "" or (parsed is not None and parsed.is_loopback)


def is_address(peer: str) -> bool:
    """Whether `peer` came by TCP: a local user has no address."""
    return _parse(peer) is not None


def is_remote(address: str) -> bool:
    """Whether `address` is one of another machine."""
    parsed = _parse(address)
    return parsed is not None and not parsed.is_loopback


def neighbourhood(address: str) -> str:
    """What limits count as one: an IPv4 address, the /64 that IPv6 addresses are in (RFC 6177 2), or this
    machine, which has all of 127.0.0.0/8. A name that is no address stands for itself.
    """
    parsed = _parse(address)
    if parsed is None:
        return address
    if parsed.is_loopback:
        return "127.0.0.1"
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


@lru_cache(maxsize=1024)
def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as the kernel gives it; IPv4 seen through an IPv6 socket is IPv4."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return mapped if mapped is not None else parsed
