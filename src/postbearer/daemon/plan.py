"""What the configuration says about the relay, checked as a whole, as parts that can be used."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from postbearer.address import canonical
from postbearer.assembly import Assembly
from postbearer.config import ClientSettings, ListenerSettings, RelaySettings, RouteSettings
from postbearer.daemon.http_plan import HttpPlan, load_certificate
from postbearer.daemon.recipient_plan import NO_RULES, RecipientPlan
from postbearer.engine import LONGEST_HOLD, RetryPolicy, Route, Router, RouteRule, Submitter
from postbearer.errors import ConfigError, UsageError
from postbearer.log import KEPT, LARGEST, LogDestination
from postbearer.store import LOCAL, PostgresUrl, Priority, SpoolPlace
from postbearer.submission import Access, Admission, Network, is_local, is_password_hash, networks, unanswered
from postbearer.wire import Extensions, LineLimits, Offer

DEFAULT_LISTEN = "127.0.0.1:2525"
DEFAULT_SIZE = 36 * 1024 * 1024
_UNIQUE_LOCAL = ipaddress.IPv6Network("fc00::/7")  # RFC 4193
_PRIORITIES = {"urgent": Priority.URGENT, "normal": Priority.NORMAL, "bulk": Priority.BULK}
_OFFERED = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "CHUNKING", "MT-PRIORITY")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerPlan:
    """One listener: where it is, what it offers, and whether it is for old devices."""

    address: str
    offer: Offer
    context: ssl.SSLContext | None = None  # for STARTTLS, or for all of the connection
    implicit_tls: bool = False
    legacy: bool = False
    proxies: tuple[Network, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayPlan:
    """The relay as it is to be."""

    hostname: str
    doors: tuple[ListenerPlan, ...]
    access: Access
    router: Router
    retry: RetryPolicy
    size: int
    bounces_to: str = ""
    recipients: RecipientPlan = NO_RULES
    log: tuple[LogDestination, ...] = ()
    operators: int | None = None  # the group that may look
    http: HttpPlan | None = None
    warnings: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, assembly: Assembly) -> RelayPlan:
        """Raises `ConfigError` for what would be unsafe or could not work."""
        try:
            return cls._of(assembly)
        except ConfigError as error:
            if error.file or not error.key:
                raise
            raise assembly.configuration.located(error) from None

    @classmethod
    def _of(cls, assembly: Assembly) -> RelayPlan:
        settings = relay_settings(assembly)
        assembly.persistence  # noqa: B018 - says what the spool lacks
        names = assembly.names
        http = assembly.configuration.settings.http
        if not names and (http is None or http.accounts != "editable"):  # else the console makes the first
            raise ConfigError(
                "There is no account that mail could leave from.",
                key="accounts",
                hint='Make one by `postbearer init`, or in the console: accounts = "editable" under [http].',
            )
        if settings.account is None and len(names) > 1:
            raise ConfigError(
                "is missing, and there is more than one account.",
                key="relay.account",
                hint=f"Name the account mail leaves from: {', '.join(names)}.",
            )
        admissions = tuple(_admission(each) for each in settings.clients)
        _check_names(admissions)
        access = Access(admissions, by_token=http is not None)
        hostname = socket.gethostname()
        doors = [_door(each, settings, access, assembly, hostname) for each in _listeners(settings)]
        _check_legacy(doors, admissions)
        pages = HttpPlan.of(assembly)
        _check_sockets(doors, pages)
        return cls(
            hostname=hostname,
            doors=tuple(doors),
            access=access,
            router=Router(
                [_route(number, each) for number, each in enumerate(settings.routes)],
                settings.account or next(iter(names), ""),
            ),
            retry=_retry(settings),
            size=settings.size or DEFAULT_SIZE,
            bounces_to=settings.bounces_to or "",
            recipients=RecipientPlan.of(assembly.configuration, hostname),
            log=tuple(_log(settings, assembly.folder)),
            operators=_group(settings.operators),
            http=pages,
            warnings=tuple(_warnings(doors, access)),
        )


def _check_sockets(doors: Sequence[ListenerPlan], http: HttpPlan | None) -> None:
    """Leave no socket of systemd's without somebody who answers there: its clients would wait for ever."""
    places = {door.address for door in doors} | ({*http.addresses, *http.health} if http else set())
    if forgotten := unanswered(places, os.environ, "relay.listen"):
        raise ConfigError(
            f"systemd opened a socket for {forgotten[0]}, and nobody would answer there.",
            key="relay.listen",
            hint=f'Add "{forgotten[0]}", or disable its .socket unit.',
        )


def relay_settings(assembly: Assembly) -> RelaySettings:
    """The ``[relay]`` table; all of it has defaults."""
    return assembly.configuration.settings.relay or RelaySettings()


def spool_url(assembly: Assembly) -> SpoolPlace:
    """Where the spool is. Raises `ConfigError` for a kind of spool that is not supported."""
    return assembly.spool


def node_name(assembly: Assembly) -> str:
    """The name of this node: it is a node's own, as its leases go by it."""
    if not isinstance(assembly.spool, PostgresUrl):
        return LOCAL
    return relay_settings(assembly).node or f"{socket.gethostname()}:{assembly.state.path}"


def _group(name: str | None) -> int | None:
    """The number of a group of this machine."""
    if name is None:
        return None
    import grp

    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigError(
            f"There is no group {name!r} on this machine.",
            key="relay.operators",
            hint="Make it, and put the relay's user and those who may look into it.",
        ) from None


def _listeners(settings: RelaySettings) -> Sequence[ListenerSettings]:
    short = [ListenerSettings(address=address) for address in settings.listen]
    found = [*short, *settings.listeners]
    addresses = [each.address for each in found]
    if twice := next((each for each in addresses if addresses.count(each) > 1), None):
        key = "relay.listen" if twice in settings.listen else "relay.listeners"
        raise ConfigError(f"{twice} stands there twice.", key=key, hint="One listener is enough.")
    return found or [ListenerSettings(address=DEFAULT_LISTEN)]


def _door(
    listener: ListenerSettings, settings: RelaySettings, access: Access, assembly: Assembly, hostname: str
) -> ListenerPlan:
    local = is_local(listener.address) and not listener.proxy_protocol  # clients of a proxy are elsewhere
    if listener.tls == "none" and not local and not listener.legacy:
        raise ConfigError(
            f"{listener.address} can be reached from other machines, and has no TLS.",
            key="relay.listeners",
            hint='Give it tls = "starttls" with a certificate, or legacy = true with named networks.',
        )
    if listener.login_without_tls and (listener.legacy or not local):
        raise ConfigError(
            f"{listener.address} would take passwords in clear.",
            key="relay.listeners.login-without-tls",
            hint="That is possible on loopback and Unix sockets only, and never on a legacy listener.",
        )
    if listener.old_tls and not listener.legacy:
        raise ConfigError(
            f"{listener.address} would take old TLS from everybody.",
            key="relay.listeners.old-tls",
            hint="Set legacy = true and name the networks of the devices, or leave old-tls out.",
        )
    context = _context(listener, assembly.folder)
    offer = Offer(
        hostname=hostname,
        extensions=Extensions(dict.fromkeys(_extensions(settings, assembly), ())),
        limits=LineLimits(max_size=settings.size or DEFAULT_SIZE),
        starttls=listener.tls == "starttls",
        mechanisms=("PLAIN", "LOGIN") if access.hashes or listener.legacy else (),
        auth_in_clear=listener.login_without_tls or listener.legacy,  # a device's password opens nothing
        require_tls=listener.tls == "starttls" and not local and not listener.legacy,
        lenient=listener.legacy,
        longest_hold=LONGEST_HOLD,
    )
    return ListenerPlan(
        address=listener.address,
        offer=offer,
        context=context,
        implicit_tls=listener.tls == "implicit",
        legacy=listener.legacy,
        proxies=_proxies(listener),
    )


def _proxies(listener: ListenerSettings) -> tuple[Network, ...] | None:
    """Who may connect there in the name of others; None: everybody connects in their own."""
    named = bool(listener.trusted_proxies)
    if named != listener.proxy_protocol and not listener.address.startswith("unix:"):
        raise ConfigError(
            f"{listener.address} needs both proxy-protocol = true and trusted-proxies, or neither.",
            key=f"relay.listeners.{'proxy-protocol' if named else 'trusted-proxies'}",
            hint="Name the addresses your proxy or balancer connects from; nobody else can connect then.",
        )
    return networks(listener.trusted_proxies) if listener.proxy_protocol else None


def _extensions(settings: RelaySettings, assembly: Assembly) -> list[str]:
    """BINARYMIME is offered only where every account's server is known to take it."""
    accounts = assembly.configuration.settings.accounts.values()
    seen = [assembly.configuration.preset(each).ehlo.after_tls for each in accounts]
    takes = all(any(line.upper() == "BINARYMIME" for line in lines) for lines in seen)
    return [*_OFFERED, "BINARYMIME"] if takes else [*_OFFERED]


def _context(listener: ListenerSettings, folder: Path) -> ssl.SSLContext | None:
    """The certificate of a listener."""
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
    if listener.old_tls:
        _take_old_tls(context)
    load_certificate(context, listener.certificate, listener.key, folder, "relay.listeners.certificate")
    return context


def _take_old_tls(context: ssl.SSLContext) -> None:
    """For printers that know no better: the mail of the named networks is not protected by this."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is deprecated; that is why it is opt-in
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL 3 has no TLS 1.0 above level 0


def _admission(settings: ClientSettings) -> Admission:
    found = networks(settings.networks)
    if settings.username is None and any(_is_the_world(network) for network in found):
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
    if settings.password_hash is not None and not is_password_hash(settings.password_hash):
        raise ConfigError(
            f"The password-hash of the client {settings.name} is no argon2id hash.",
            key="relay.clients.password-hash",
            hint="Make it with: postbearer secret hash-password",
        )
    for sender in settings.senders:
        _check_sender(settings.name, sender)
    client = Submitter(
        name=settings.name,
        account=settings.account or "",
        senders=settings.senders,
        priority=_PRIORITIES[settings.priority],
        messages_per_minute=settings.messages_per_minute,
        legacy=settings.legacy,
        default_sender=settings.default_sender or "",
        size=settings.size,
        bounces_to=settings.bounces_to or "",
    )
    return Admission(
        client,
        found,
        settings.username or "",
        settings.password_hash or "",
        settings.database_roles,
    )


def _is_the_world(network: Network) -> bool:
    """Whether a network is wider than any that one owner has (private ones: 10/8, fc00::/7, fe80::/10)."""
    if network.version == 4:
        return network.prefixlen < 8
    if network.is_link_local:
        return False
    return network.prefixlen < 16 and not network.subnet_of(_UNIQUE_LOCAL)


def _check_sender(client: str, pattern: str) -> None:
    """A pattern that no address can match would only come to light when mail is refused."""
    try:
        if pattern != "*":
            canonical(f"x@{pattern.rpartition('@')[2]}" if pattern.startswith(("@", "*@")) else pattern)
    except UsageError as error:
        raise ConfigError(
            f"The client {client} cannot send as {pattern!r}: {error.message}",
            key="relay.clients.senders",
            hint="Write addresses, @domain, or *.",
        ) from None


def _check_names(admissions: Sequence[Admission]) -> None:
    """Names stand for clients in logs and limits."""
    names = Counter(admission.client.name for admission in admissions)
    roles = Counter(role for admission in admissions for role in admission.roles)
    if twice := next((role for role, count in roles.items() if count > 1), None):
        raise ConfigError(
            f"The role {twice} would be two clients.",
            key="relay.clients.database-roles",
            hint="Name each role of the database at one client.",
        )
    if twice := next((name for name, count in names.items() if count > 1), None):
        raise ConfigError(
            f"There are two clients with the name {twice}.",
            key="relay.clients.name",
            hint="Give each a name of its own; one client may have several networks.",
        )


def _route(number: int, settings: RouteSettings) -> RouteRule:
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
    if not (settings.account or settings.priority or settings.expire_after):
        raise ConfigError(
            "A route decides nothing: it has no account, priority or expire-after.",
            key=f"relay.routes.{number}",
            hint="Say what becomes of the mail it matches, or take it out.",
        )
    return RouteRule(
        from_=settings.from_ or "",
        to=(*((settings.to,) if settings.to else ()), *settings.recipients),
        client=settings.client or "",
        header=fields,
        route=route,
    )


def _log(settings: RelaySettings, folder: Path) -> Iterator[LogDestination]:
    for text in settings.log:
        yield LogDestination.of(
            text,
            folder,
            as_json=settings.log_format == "json",
            size=settings.log_size or LARGEST,
            keep=settings.log_keep or KEPT,
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


def _check_legacy(doors: Sequence[ListenerPlan], admissions: Sequence[Admission]) -> None:
    named = any(admission.client.legacy and admission.networks for admission in admissions)
    if any(door.legacy for door in doors) and not named:
        raise ConfigError(
            "A legacy listener without named clients would be open to everybody.",
            key="relay.clients",
            hint='Add [[relay.clients]] with legacy = true and networks = ["192.0.2.0/24"].',
        )


def _warnings(doors: Sequence[ListenerPlan], access: Access) -> list[str]:
    texts = [
        f"{door.address} serves old devices, of the named networks only: perhaps without TLS, and any login "
        "is as good as none."
        for door in doors
        if door.legacy
    ]
    texts += [
        f"{door.address} takes passwords without TLS: who may capture packets of this machine reads them."
        for door in doors
        if door.offer.mechanisms and door.offer.auth_in_clear and not door.legacy
    ]
    if access.hashes and not any(_takes_logins(door) for door in doors):
        texts.append(
            "A client has a password, and no listener takes a login: give one tls, or, on loopback, "
            "login-without-tls = true in [[relay.listeners]]."
        )
    return texts


def _takes_logins(door: ListenerPlan) -> bool:
    """Whether passwords are verified there."""
    offer = door.offer
    verifies = bool(offer.mechanisms) and not door.legacy
    return verifies and (door.context is not None or offer.auth_allowed(tls=False))
