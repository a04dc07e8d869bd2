"""An account: one mailbox mail leaves from, as plain values and the parts made of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypedDict, Unpack, cast

from msgspec import structs

from postbearer.address import Address
from postbearer.clock import Clock
from postbearer.errors import ConfigError, StoreError, UsageError
from postbearer.events import Observer, Warned
from postbearer.message import SenderRule
from postbearer.oauth import CachedSource, Endpoint, Grant, GrantStore, SparingPassword, binding, resolved
from postbearer.providers import Catalogue, Ids, Preset, SenderDomain, preset
from postbearer.providers import Rule as ReplyRule
from postbearer.secret import GivenSecret, Secret, SecretSource
from postbearer.secrets import source
from postbearer.settings import (
    DEFAULTS,
    AccountSettings,
    Authentication,
    FallbackWhen,
    Limits,
    Mechanism,
    OnUnknown,
    SenderPolicy,
    TlsMode,
)
from postbearer.state import ConnectionShare, Ledger, MemoryState, Persistence
from postbearer.transport import (
    CONNECTIONS,
    Capture,
    ClientCertificate,
    PoolLimits,
    Proxy,
    ServerAddress,
    Smarthost,
    Transport,
    TransportSettings,
    default_ehlo_name,
)
from postbearer.wire import Dispensable

_USERS = ("user", "username", "subject")  # what grants call the person they act for

_OTHER_LOGIN = "Correct user name or password."
_SPREAD = 0.1  # of the refresh margin: hosts that were started together do not renew together


class Options(TypedDict, total=False):
    """What may be said about an account beyond its provider, address and grant. Times are in seconds."""

    name: str  # in messages and in the state folder; made from the address when missing
    servers: Sequence[str]  # host:port, tried in this order
    tls: TlsMode
    ca_file: str | os.PathLike[str]
    certificate: ClientCertificate
    proxy: str
    token_url: str
    issuer: str
    token_ca_file: str | os.PathLike[str]
    username: str  # SMTP login, when it is not the address
    authentication: Authentication
    password: str | Secret | SecretSource  # for ``authentication="password"``
    mechanism: Mechanism
    sender: SenderPolicy
    aliases: Sequence[str]
    limits: Limits
    ehlo_name: str
    unused_extensions: Sequence[Dispensable]
    timeout: float
    maximum_token_lifetime: float
    refresh_margin: float
    refresh_token_idle: float
    refresh_token_lifetime: float
    expires: Mapping[str, float]
    on_unknown: OnUnknown  # the next four are for the relay
    fallback: str
    fallback_when: FallbackWhen
    overflow: str
    overflow_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One mailbox: who it is, where its mail goes, how it proves itself, what it may send."""

    name: str
    address: str
    provider: str
    settings: AccountSettings = field(repr=False)  # what was said of it; what has no word below is read there
    outgoing: TransportSettings
    sender: SenderRule
    grant: Grant | None = None
    endpoint: Endpoint = field(default_factory=lambda: Endpoint(""))
    password: SecretSource | None = None
    limits: Limits = DEFAULTS.limits
    refresh_margin: float = 60.0
    refresh_idle: float = 0.0  # seconds without use after which a refresh token ends; 0: not known
    refresh_lifetime: float = 0.0  # seconds after which a sign-in ends in any case; 0: not known
    expires: Mapping[str, float] = field(default_factory=dict)  # what ends when (Unix seconds), by key
    organisations: frozenset[str] = frozenset()  # what it shares with accounts that one refusal may reach too
    sender_domain: SenderDomain = field(default_factory=SenderDomain)  # what DNS has to say
    # Under which `postbearer token` may take a kept token without reading more. It is of the whole file, so
    # an account is the same when something else in there has changed.
    shortcut: str = field(default="", compare=False)

    @classmethod
    def microsoft(
        cls, address: str, *, tenant: str, grant: Grant, cloud: str = "", **options: Unpack[Options]
    ) -> Self:
        """A Microsoft 365 mailbox. `tenant` is the organisation's domain or directory id."""
        from postbearer.arguments import argument_errors

        with argument_errors():
            chosen = preset("microsoft").in_cloud(cloud)
        return cls.of(chosen, address, grant, tenant=tenant, **options)

    @classmethod
    def google(cls, address: str, *, grant: Grant, **options: Unpack[Options]) -> Self:
        """A Gmail or Google Workspace mailbox."""
        return cls.of(preset("google"), address, grant, **options)

    @classmethod
    def smtp(cls, address: str, *, grant: Grant | None = None, **options: Unpack[Options]) -> Self:
        """A mailbox at any other server: `servers` are needed, and for OAuth `token_url`."""
        return cls.of(preset("smtp"), address, grant, **options)

    @classmethod
    def of(
        cls,
        preset: Preset,
        address: str,
        grant: Grant | None = None,
        *,
        tenant: str = "",
        **options: Unpack[Options],
    ) -> Self:
        """An account of the provider `preset` describes; `options` override what the preset says.

        Raises `ConfigError`, `SecretError` or `UsageError`, in the words of arguments, for what cannot work.
        """
        from postbearer.arguments import argument_errors, checked_options, secret_source, settings_of

        with argument_errors():
            options = checked_options(address, grant, options)
            password = options.get("password")
            return cls.configured(
                preset,
                settings_of(preset.name, address, tenant, options),
                grant,
                name=options.get("name", ""),
                password=_secret_source(password, secret_source) if password is not None else None,
                certificate=options.get("certificate"),
                token_ca_file=os.fspath(options.get("token_ca_file", "")),
                expires=options.get("expires"),
                read=secret_source,
            )

    @classmethod
    def configured(
        cls,
        preset: Preset,
        settings: AccountSettings,
        grant: Grant | None = None,
        *,
        name: str = "",
        password: SecretSource | None = None,
        certificate: ClientCertificate | None = None,
        token_ca_file: str = "",
        expires: Mapping[str, float] | None = None,
        read: Callable[[str], SecretSource] = source,
    ) -> Self:
        """The same of what is checked already; errors have the key of a configuration that they are about.

        `read` makes a source of a secret reference. Raises `ConfigError`, `SecretError` or `UsageError`.
        """
        Address.parse(settings.address)
        if grant is not None and preset.no_oauth:
            raise ConfigError(
                f"{preset.title} takes no OAuth tokens. {preset.no_oauth}",
                key="grant",
                hint="Leave the grant out, and use authentication = password.",
            )
        limits = settings.limits.or_else(preset.limits)
        name = name or name_for(settings.address)
        rules = _written_for(preset.rules, _ids(name, settings, grant))
        return cls(
            name=name,
            address=settings.address,
            provider=preset.name,
            settings=settings,
            outgoing=_smarthost(preset, settings, limits, certificate, rules),
            sender=SenderRule(settings.address, settings.sender, settings.aliases),
            grant=resolved(_scoped(grant, preset), read) if grant is not None else None,
            endpoint=_endpoint(preset, grant, settings, token_ca_file),
            password=password,
            limits=limits,
            refresh_margin=_or(settings.refresh_margin, preset.refresh_margin),
            refresh_idle=_or(settings.refresh_token_idle, preset.refresh_idle),
            refresh_lifetime=_or(settings.refresh_token_lifetime, preset.refresh_lifetime),
            expires=expires or {},
            organisations=_organisations(preset, settings),
            sender_domain=_sender_domain(preset, settings),
        )

    @property
    def smarthost(self) -> Smarthost:
        """Where its mail goes by SMTP. Raises `UsageError` where it leaves in another way."""
        if not isinstance(self.outgoing, Smarthost):
            raise UsageError(f"The mail of the account {self.name} does not leave by SMTP.")
        return self.outgoing

    @property
    def rules(self) -> Sequence[ReplyRule] | None:
        """What its provider is known to answer; None: what holds everywhere."""
        return self.outgoing.rules

    @property
    def connections(self) -> int:
        """How many connections to its provider it may hold at one time."""
        return self.limits.connections or CONNECTIONS

    @property
    def ids(self) -> Ids:
        """What remedies for it name."""
        rules = self.rules
        return rules.ids if isinstance(rules, Catalogue) else Ids(self.name, self.address)

    def examined_by(self, command: str) -> Self:
        """The account with remedies that name the `command` which finds out more."""
        rules = self.rules
        if not isinstance(rules, Catalogue):
            return self
        rules = rules.written_for(replace(rules.ids, check=command))
        return replace(self, outgoing=replace(self.outgoing, rules=rules))

    @property
    def password_login(self) -> bool:
        """Whether refusals may lock the mailbox, so that none is ever tried again by itself."""
        by_password = self.outgoing.authentication == "password"
        return by_password or (self.grant is not None and self.grant.locks_out)

    @property
    def mailbox(self) -> str:
        """What the provider counts by, whatever the account is called here: itself, and the login."""
        where = self.provider
        if where == "smtp":  # any server, so the provider is the one that is named
            where = self.outgoing.servers[0].host
        return f"{where}={self.outgoing.username}".casefold()

    @property
    def binding(self) -> str:
        """What its tokens are bound to: a token got for this is never used for anything else."""
        return binding(
            token_url=self.endpoint.place,
            client_id=str(getattr(self.grant, "client_id", "")),
            grant=self.grant.name if self.grant else "",
            scopes=tuple(getattr(self.grant, "scopes", ())),
            user=next((str(getattr(self.grant, name)) for name in _USERS if hasattr(self.grant, name)), ""),
            login=self.outgoing.username,
            servers=tuple(map(str, self.outgoing.servers)),
        )

    def usable(self, state: Persistence, observer: Observer) -> Persistence:
        """`state`; or, with a warning, memory where nothing can be kept there and nothing is lost by that.

        Raises `ConfigError` for a folder of somebody else. Where refresh tokens have to be kept it is
        `state` as it stands, and writing into it will tell.
        """
        if self.grant is not None and self.grant.keeps_refresh_token:
            return state
        try:
            state.writable()
        except StoreError as error:
            observer.notice(Warned(self.name, f"{error} Tokens and limits are known to this process alone."))
            return MemoryState()
        return state

    def credential(
        self, state: Persistence, *, clock: Clock, observer: Observer
    ) -> CachedSource | SecretSource | None:
        """What it proves itself with: a source of tokens, or of its password, or nothing.

        A password that was refused is remembered in `state` and given out by no process until it is another.
        """
        if self.outgoing.authentication == "oauth":
            return self.token_source(state, clock=clock, observer=observer)
        if self.password is None:
            return None
        return SparingPassword(self.password, self.token_store(state, clock=clock), self.name)

    def open_transport(
        self,
        credential: CachedSource | SecretSource | None,
        *,
        clock: Clock,
        observer: Observer,
        capture: Callable[[], Capture] | None = None,
        share: ConnectionShare | None = None,
    ) -> Transport:
        """What carries its mail, and proves itself by `credential`. Nobody else makes one."""
        return self.outgoing.open(
            credential, account=self.name, clock=clock, observer=observer, capture=capture, share=share
        )

    def connection_share(self, state: Persistence, *, clock: Clock, node: str = "") -> ConnectionShare | None:
        """What it may have of its mailbox's connections; None: all. `node` is the relay that asks, if one."""
        if not isinstance(self.outgoing, Smarthost):  # what else there is opens none that it keeps
            return None
        return state.connection_share(self.mailbox, self.connections, clock=clock, node=node)

    def ledger(self, state: Persistence, *, clock: Clock) -> Ledger | None:
        """Where its budget is counted, in `state` together with all other processes; None without limits."""
        if not self.limits.budgeted:
            return None
        return state.ledger(self.mailbox, self.name, clock=clock)

    def token_source(self, state: Persistence, *, clock: Clock, observer: Observer) -> CachedSource:
        """Where its access tokens come from; they are kept in `state`.

        Raises `ConfigError` when the account does not use tokens.
        """
        if self.grant is None:
            raise ConfigError(
                f"The account {self.name} does not use OAuth tokens.",
                key="grant",
                hint='Set authentication = "oauth" and a grant, if it should.',
            )
        return CachedSource(
            self.grant,
            self.endpoint,
            account=self.name,
            store=self.token_store(state, clock=clock) if self.grant.asks != "nobody" else None,
            clock=clock,
            margin=self.refresh_margin,
            spread=_SPREAD,
            maximum_lifetime=self.settings.maximum_token_lifetime,
            observer=observer,
        )

    def token_store(self, state: Persistence, *, clock: Clock) -> GrantStore:
        """Where its tokens are kept in `state`."""
        return state.token_store(self.name, self.binding, clock=clock, shortcut=self.shortcut)


def name_for(address: str) -> str:
    """An account name made of an address: ``alerts@example.org`` → ``alerts-example-org``."""
    return re.sub(r"[^a-z0-9]+", "-", address.casefold()).strip("-") or "account"


def _or(value: float | None, usual: float) -> float:
    return usual if value is None else value


def _ids(name: str, settings: AccountSettings, grant: Grant | None) -> Ids:
    """What remedies for this account name."""
    login = settings.username or settings.address
    by_password = settings.authentication == "password"
    return Ids(
        account=name,
        address=login if "@" in login else settings.address,
        client_id=str(getattr(grant, "client_id", "")),
        tenant=settings.tenant or "",
        sender=settings.address,
        renewal=_OTHER_LOGIN if by_password else grant.renewal if grant is not None else "",
    )


def _written_for(rules: Sequence[ReplyRule], ids: Ids) -> Sequence[ReplyRule]:
    return rules.written_for(ids) if isinstance(rules, Catalogue) else rules


def _smarthost(
    preset: Preset,
    settings: AccountSettings,
    limits: Limits,
    certificate: ClientCertificate | None,
    rules: Sequence[ReplyRule],
) -> Smarthost:
    servers = settings.servers or preset.servers
    if not servers:
        raise ConfigError(
            f"The account {settings.address} has no servers.",
            key="servers",
            hint='Add servers = ["mail.example.org:587"].',
        )
    pool = PoolLimits(
        connections=limits.connections or CONNECTIONS,
        age=min(PoolLimits().age, preset.connection_age),
        token_lifetime=settings.maximum_token_lifetime,
    )
    return Smarthost(
        servers=tuple(map(ServerAddress.parse, servers)),
        tls=settings.tls or preset.tls,
        ca_file=settings.ca_file or "",
        certificate=certificate,
        proxy=Proxy.parse(settings.proxy) if settings.proxy else None,
        authentication=settings.authentication,
        username=settings.username or settings.address,
        mechanism=settings.mechanism,
        ehlo_name=settings.ehlo_name or default_ehlo_name(),
        unused=settings.unused_extensions,
        timeout=settings.timeout,
        limits=pool,
        recipients_per_message=limits.recipients_per_message,
        rules=rules,
        null_sender=preset.null_sender,
    )


def _endpoint(preset: Preset, grant: Grant | None, settings: AccountSettings, ca_file: str) -> Endpoint:
    if grant is None or grant.asks != "token endpoint":
        return Endpoint("")
    tenant, issuer, url = settings.tenant or "", settings.issuer or "", settings.token_url or ""
    if not (url or issuer):
        url = preset.endpoint(preset.token_url, tenant, grant.name)
    issuer = issuer or preset.endpoint(preset.issuer, tenant)
    if not (url or issuer):
        raise ConfigError(
            f"The grant {grant.name} needs a token endpoint.",
            key="token-url",
            hint='Add token-url = "https://…", or issuer = "https://…" to have it discovered.',
        )
    return Endpoint(url, ca_file=ca_file, issuer=issuer)


def _organisations(preset: Preset, settings: AccountSettings) -> frozenset[str]:
    """Names under which the provider knows the customer that the mailbox belongs to."""
    names = [f"tenant {settings.tenant.casefold()}"] if settings.tenant else []
    if preset.organisation_by_domain:
        names.append(f"domain {Address.parse(settings.address).domain.casefold()}")
    return frozenset(f"{preset.name} {name}" for name in names)


def _sender_domain(preset: Preset, settings: AccountSettings) -> SenderDomain:
    known = preset.sender_domain
    return structs.replace(known, dkim=settings.dkim_selectors) if settings.dkim_selectors else known


def _scoped(grant: Grant, preset: Preset) -> Grant:
    """The grant with the provider's scopes, unless it names its own; one text is read as OAuth writes it."""
    given = getattr(grant, "scopes", None)
    if given is None or (given and not isinstance(given, str)):
        return grant
    scopes = (given.split() if given else ()) or preset.scopes.get(cast(Any, grant.name), ())
    return cast(Grant, replace(cast(Any, grant), scopes=tuple(scopes))) if scopes else grant


def _secret_source(value: str | Secret | SecretSource, read: Callable[[str], SecretSource]) -> SecretSource:
    if isinstance(value, str):
        return read(value)
    return GivenSecret(value, "the given password") if isinstance(value, Secret) else value
