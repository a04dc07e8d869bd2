"""What the configuration says about the relay, checked as a whole, as parts that can be used."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from postbearer.assembly import Assembly
from postbearer.config import ClientSettings, ListenerSettings, RelaySettings, RouteSettings
from postbearer.engine import Client, RetryPolicy, Route, Router, RouteRule
from postbearer.errors import ConfigError
from postbearer.providers import preset
from postbearer.store import Priority
from postbearer.submission import Access, Admission, Place, networks
from postbearer.wire import Extensions, Limits, Offer

DEFAULT_LISTEN = "127.0.0.1:2525"
DEFAULT_SIZE = 25 * 1024 * 1024
_PRIORITIES = {"urgent": Priority.URGENT, "normal": Priority.NORMAL, "bulk": Priority.BULK}
_OFFERED = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "CHUNKING", "MT-PRIORITY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One listener: where it is, what it offers, and whether it is for old devices."""

    place: Place
    offer: Offer
    context: ssl.SSLContext | None = None  # for STARTTLS
    legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The relay as it is to be."""

    hostname: str
    doors: tuple[Door, ...]
    access: Access
    router: Router
    retry: RetryPolicy
    size: int
    bounces_to: str = ""
    warnings: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, assembly: Assembly) -> Plan:
        """Raises `ConfigError` for what would be unsafe or could not work."""
        settings = relay_settings(assembly)
        names = assembly.names
        if settings.account is None and len(names) != 1:
            raise assembly.configuration.error(
                "relay.account", "is missing", hint=f"Name the account mail leaves from: {', '.join(names)}."
            )
        default = settings.account or names[0]
        admissions = tuple(_admission(each) for each in settings.clients)
        access = Access(admissions)
        hostname = socket.gethostname()
        doors = [_door(each, settings, access, assembly, hostname) for each in _listeners(settings)]
        _check_legacy(doors, admissions)
        return cls(
            hostname=hostname,
            doors=tuple(doors),
            access=access,
            router=Router([_route(each) for each in settings.routes], default),
            retry=_retry(settings),
            size=settings.size or DEFAULT_SIZE,
            bounces_to=settings.bounces_to or "",
            warnings=tuple(_warnings(doors)),
        )


def relay_settings(assembly: Assembly) -> RelaySettings:
    """The ``[relay]`` table; all of it has defaults."""
    return assembly.configuration.settings.relay or RelaySettings()


def _listeners(settings: RelaySettings) -> Sequence[ListenerSettings]:
    short = [ListenerSettings(address=address) for address in settings.listen]
    found = [*short, *settings.listeners]
    return found or [ListenerSettings(address=DEFAULT_LISTEN)]


def _door(
    listener: ListenerSettings, settings: RelaySettings, access: Access, assembly: Assembly, hostname: str
) -> Door:
    local = _is_local(listener.address)
    if listener.tls == "none" and not local and not listener.legacy:
        raise ConfigError(
            f"{listener.address} can be reached from other machines, and has no TLS.",
            key="relay.listeners",
            hint='Give it tls = "starttls" with a certificate, or legacy = true with named networks.',
        )
    context = _context(listener)
    offer = Offer(
        hostname=hostname,
        extensions=Extensions(dict.fromkeys(_extensions(settings, assembly), ())),
        limits=Limits(max_size=settings.size or DEFAULT_SIZE),
        starttls=listener.tls == "starttls",
        mechanisms=("PLAIN", "LOGIN") if access.has_logins and not listener.legacy else (),
        auth_in_clear=local,
        require_tls=listener.tls == "starttls" and not local and not listener.legacy,
        fix_line_ends=listener.legacy,
    )
    implicit = listener.tls == "implicit"
    place = Place(listener.address, context if implicit else None)
    return Door(place=place, offer=offer, context=None if implicit else context, legacy=listener.legacy)


def _extensions(settings: RelaySettings, assembly: Assembly) -> list[str]:
    """BINARYMIME is offered only where every account's server is known to take it."""
    accounts = assembly.configuration.settings.accounts.values()
    seen = [preset(each.provider).ehlo.after_tls for each in accounts]
    takes = all(any(line.upper() == "BINARYMIME" for line in lines) for lines in seen)
    return [*_OFFERED, "BINARYMIME"] if takes else [*_OFFERED]


def _context(listener: ListenerSettings) -> ssl.SSLContext | None:
    if listener.tls == "none":
        return None
    if not listener.certificate:
        raise ConfigError(
            f"{listener.address} has tls = {listener.tls!r} and no certificate.",
            key="relay.listeners.certificate",
            hint='Add certificate = "/path/to/chain.pem" and key = "/path/to/key.pem".',
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listener.certificate, listener.key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{listener.certificate} cannot be used: {error}.",
            key="relay.listeners.certificate",
            hint="Certificate and key must be PEM files that belong together.",
        ) from None
    return context


def _admission(settings: ClientSettings) -> Admission:
    found = networks(settings.networks)
    if any(network.prefixlen == 0 for network in found) and settings.username is None:
        raise ConfigError(
            f"The client {settings.name} would be the whole world without a login: an open relay.",
            key="relay.clients.networks",
            hint="Name the networks its machines are in, or give it a username and a password-hash.",
        )
    if (settings.username is None) != (settings.password_hash is None):
        raise ConfigError(
            f"The client {settings.name} needs both a username and a password-hash, or neither.",
            key="relay.clients.password-hash",
            hint="Make the hash with: postbearer secret hash-password",
        )
    client = Client(
        name=settings.name,
        account=settings.account or "",
        senders=settings.senders,
        priority=_PRIORITIES[settings.priority],
        messages_per_minute=settings.messages_per_minute,
        legacy=settings.legacy,
    )
    return Admission(client, found, settings.username or "", settings.password_hash or "")


def _route(settings: RouteSettings) -> RouteRule:
    header = settings.header
    if isinstance(header, str):
        name, _, pattern = header.partition(":")
        fields: tuple[tuple[str, str], ...] = ((name.strip(), pattern.strip()),)
    else:
        fields = tuple((header or {}).items())
    route = Route(
        account=settings.account or "",
        priority=_PRIORITIES[settings.priority] if settings.priority else None,
        expire_after=settings.expire_after,
    )
    return RouteRule(
        from_=settings.from_ or "",
        to=settings.to or "",
        client=settings.client or "",
        header=fields,
        route=route,
    )


def _retry(settings: RelaySettings) -> RetryPolicy:
    given = settings.retry
    usual = RetryPolicy()
    return RetryPolicy(
        first=given.first or usual.first,
        factor=given.factor or usual.factor,
        maximum=given.maximum or usual.maximum,
        expire_after=given.expire_after or usual.expire_after,
        warn_after=given.warn_after or usual.warn_after,
    )


def _check_legacy(doors: Sequence[Door], admissions: Sequence[Admission]) -> None:
    named = any(admission.client.legacy and admission.networks for admission in admissions)
    if any(door.legacy for door in doors) and not named:
        raise ConfigError(
            "A legacy listener without named clients would be open to everybody.",
            key="relay.clients",
            hint='Add [[relay.clients]] with legacy = true and networks = ["192.0.2.0/24"].',
        )


def _warnings(doors: Sequence[Door]) -> list[str]:
    return [
        f"{door.place.address} serves old devices: no login and perhaps no TLS, for the named networks only."
        for door in doors
        if door.legacy
    ]


def _is_local(address: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
