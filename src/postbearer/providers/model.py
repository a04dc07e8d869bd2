"""What is known about a mail provider."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from postbearer.errors import ConfigError
from postbearer.providers.rules import Mark, Rule, Who
from postbearer.settings import ClientAuthentication, Limits

_SERVER = re.compile(r"[A-Za-z0-9._-]+:[0-9]{1,5}")
_ONES_OWN = "Write the organisation's domain or its directory id."
_TENANT = re.compile(  # a directory id, a domain, or one of the names that stand for several
    r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|common|organizations|consumers"
    r"|(?=.{4,253}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z0-9][A-Za-z0-9-]*"
)
_URL = re.compile(r"https://[^\s@]+")


class GrantPreset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Whether a grant yields a token that SMTP takes, and with which scopes."""

    works: Literal["yes", "no", "unsure"] = "yes"
    scopes: tuple[str, ...] = ()
    note: str = ""
    mark: Mark = "documented"


class SetupStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One step of the set-up at the provider. An empty `grants` means that every grant needs it.

    `command` is what to type, with words in angle brackets to fill in; `where` is where.
    """

    do: str
    who: Who = Who.TENANT_ADMIN
    grants: tuple[str, ...] = ()
    where: str = ""
    command: str = ""
    mark: Mark


class Note(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Something worth knowing."""

    text: str
    mark: Mark


class SenderDomain(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What DNS has to say of a domain whose mail leaves by a provider."""

    spf: str = ""  # what its SPF record has to include (RFC 7208 5.2); empty: not known
    dkim: tuple[str, ...] = ()  # the selectors that it signs by (RFC 6376 3.1); one with a key is enough
    own: tuple[str, ...] = ()  # domains that are the provider's, with those below them; "*": all of them
    mark: Mark = "documented"

    def owns(self, domain: str) -> bool:
        """Whether the provider, and no customer, looks after `domain`."""
        return any(each == "*" or f".{domain}".endswith(f".{each}") for each in self.own)


class EhloPreset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """Lines that the server was seen to answer EHLO with; never relied upon."""

    before_tls: tuple[str, ...] = ()
    after_tls: tuple[str, ...] = ()
    seen: str = ""
    mark: Mark = "reported"


class Cloud(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One of a provider's separate installations: its servers, and the words its addresses differ in."""

    servers: tuple[str, ...] = ()
    words: dict[str, str] = {}
    note: str = ""
    mark: Mark = "documented"

    def __post_init__(self) -> None:
        check_servers(self.servers)


class ClientIdForm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What the ids of applications look like at a provider."""

    pattern: str
    example: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r} is no regular expression: {error}") from None

    def fits(self, text: str) -> bool:
        """Whether `text` may be one."""
        return re.fullmatch(self.pattern, text) is not None


class Preset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A provider. Times are in seconds. URLs may hold ``{tenant}``: see `endpoint`."""

    name: str
    title: str
    servers: tuple[str, ...] = ()  # host:port, in the order to try them
    tls: Literal["starttls", "implicit"] = "starttls"
    mechanisms: tuple[Literal["XOAUTH2", "OAUTHBEARER"], ...] = ()  # empty: whatever is offered
    issuer: str = ""  # where discovery begins, RFC 8414
    token_url: str = ""
    authorize_url: str = ""
    device_url: str = ""
    revocation_url: str = ""  # RFC 7009
    redirect_uri: str = "http://127.0.0.1"  # RFC 8252 7.3; without a port, any
    default_tenant: str = ""
    tenant_required_by: tuple[str, ...] = ()
    shared_tenants: dict[str, tuple[str, ...]] = {}  # those of many organisations: grants that need one's own
    client_id: ClientIdForm | None = None
    authorize_parameters: dict[str, str] = {}
    client_authentication: ClientAuthentication = "post"
    assertion_audience: str = ""  # RFC 7523 3; empty: the token URL
    passwords: str = ""  # what becomes of logins by password there, and when; empty: nothing is known
    no_oauth: str = ""  # why its SMTP servers take no tokens, and what they take; empty: they do
    grants: dict[str, GrantPreset] = {}
    limits: Limits = Limits()
    refresh_margin: float = 60
    refresh_idle: float = 0  # a refresh token ends when it was not used for so long; 0: not known
    refresh_lifetime: float = 0  # it ends so long after the sign-in, however much it is used; 0: not known
    connection_age: float = 600
    error_challenge: bool = True  # a refused token is told by a 334 with JSON before the 535
    organisation_by_domain: bool = False  # mailboxes with one domain belong to one customer of the provider
    null_sender: bool = True  # MAIL FROM:<> is taken
    ehlo: EhloPreset = EhloPreset()
    sender_domain: SenderDomain = SenderDomain()
    setup: tuple[SetupStep, ...] = ()
    quirks: tuple[Note, ...] = ()
    clouds: dict[str, Cloud] = {}
    cloud: str = ""  # which of them this preset stands for
    replies: tuple[str, ...] = ()  # names of catalogues that come with postbearer
    rules: Sequence[Rule] = msgspec.field(name="rule", default=())
    written: Preset | None = None  # what this preset was before a cloud was chosen; never in a file

    def __post_init__(self) -> None:
        check_servers(self.servers)
        for key in ("issuer", "token_url", "authorize_url", "device_url", "revocation_url"):
            url = getattr(self, key)
            if url and not _URL.fullmatch(url):
                raise ValueError(f"{key.replace('_', '-')} must be an https address, not {url!r}")

    @property
    def scopes(self) -> dict[str, tuple[str, ...]]:
        """The scopes to ask for, by grant, for those grants that may work."""
        return {name: grant.scopes for name, grant in self.grants.items() if grant.works != "no"}

    def endpoint(self, url: str, tenant: str = "", grant: str = "") -> str:
        """`url`, one of this preset's, with the tenant in its place.

        Raises `ConfigError` if the address needs a tenant and there is none, it is no tenant, or none that
        `grant` works with.
        """
        if "{tenant}" not in url:
            return url
        tenant = tenant or self.default_tenant
        if not _TENANT.fullmatch(tenant):
            raise ConfigError(
                f"{self.title} needs a tenant." if not tenant else f"{tenant!r:.80} is no tenant.",
                key="tenant",
                hint=_ONES_OWN,
            )
        if grant in self.shared_tenants.get(tenant, ()):
            raise ConfigError(
                f"The tenant {tenant!r} stands for many organisations, and {grant} needs one's own.",
                key="tenant",
                hint=_ONES_OWN,
            )
        return url.replace("{tenant}", tenant)

    def steps(self, grant: str) -> tuple[SetupStep, ...]:
        """What has to be set up at the provider before `grant` yields mail."""
        return tuple(step for step in self.setup if not step.grants or grant in step.grants)

    def clouds_at(self, authority: str) -> tuple[str, ...]:
        """The names of the clouds whose login server is at the address `authority`."""
        host = urlsplit(authority).hostname
        return tuple(name for name, cloud in self.clouds.items() if cloud.words.get("authority") == host)

    def in_cloud(self, name: str = "") -> Preset:
        """The preset for one of the provider's clouds; the first one if none was chosen yet.

        Raises `ConfigError` for a cloud the provider does not have.
        """
        if not self.clouds and name not in ("", "global"):
            raise ConfigError(f"{self.title} has no clouds to choose from.", key="cloud")
        if not self.clouds or (self.cloud and name in ("", self.cloud)):
            return self
        name = name or next(iter(self.clouds))
        if name not in self.clouds:
            known = ", ".join(self.clouds)
            raise ConfigError(
                f"{self.title} has no cloud {name!r:.40}.", key="cloud", hint=f"One of {known}."
            )
        return _filled(self.written or self, name)


def _filled(written: Preset, name: str) -> Preset:
    """`written` with the words of the cloud `name` in place."""
    cloud = written.clouds[name]
    plain = msgspec.to_builtins(msgspec.structs.replace(written, clouds={}, rules=()))
    return msgspec.structs.replace(
        msgspec.convert(fill(plain, cloud.words), Preset),
        servers=cloud.servers or written.servers,
        clouds=written.clouds,
        rules=written.rules,
        cloud=name,
        written=written,
    )


def fill(value: object, words: dict[str, str]) -> object:
    """`value` with every ``{word}`` of `words` replaced in all its strings."""
    if isinstance(value, str):
        for word, meant in words.items():
            value = value.replace("{" + word + "}", meant)
        return value
    if isinstance(value, dict):
        return {key: fill(item, words) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, words) for item in value]
    return value


def check_servers(servers: tuple[str, ...]) -> None:
    for server in servers:
        if not _SERVER.fullmatch(server):
            raise ValueError(f"server {server!r} is not of the form host:port")
