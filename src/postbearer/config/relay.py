"""The keys that are read by the relay only; their types are checked for every command."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from postbearer.delivery_status import EventType
from postbearer.settings import (
    AccountName,
    AddressText,
    Count,
    NetworkText,
    Prose,
    Reference,
    Seconds,
    Size,
    TagText,
    TimeSpan,
    WebhookUrl,
)

Priority = Literal["urgent", "normal", "bulk"]


class ListenerSettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One place the relay listens on: the long form of `relay.listen`."""

    address: Annotated[str, Prose("host:port, or unix:/path.")]
    tls: Annotated[Literal["none", "starttls", "implicit"], Prose("Protection of the connection.")] = "none"
    certificate: Annotated[str | None, Prose("Certificate chain (PEM file).")] = None
    key: Annotated[str | None, Prose("Private key (PEM file).")] = None
    login_without_tls: Annotated[bool, Prose("Take passwords in clear; on this machine only.")] = False
    legacy: Annotated[bool, Prose("For devices: HELO, no login, lenient line ends.")] = False
    old_tls: Annotated[bool, Prose("Take TLS 1.0 and 1.1 too; legacy listeners only.")] = False
    proxy_protocol: Annotated[
        bool, Prose("Each connection begins with a header of the PROXY protocol (1 or 2).")
    ] = False
    trusted_proxies: Annotated[
        tuple[NetworkText, ...], Prose("Proxies that may connect then, and are believed.")
    ] = ()


class ClientSettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Who may submit, from where, as whom."""

    name: Annotated[str, Prose("Name shown in logs and reports.")]
    networks: Annotated[tuple[NetworkText, ...], Prose("Networks the client connects from.")] = ()
    database_roles: Annotated[
        tuple[str, ...], Prose("Roles of the database as which it hands over by the outbox.")
    ] = ()
    username: Annotated[str | None, Prose("Login of the client.")] = None
    password_hash: Annotated[str | None, Prose("argon2id hash of its password.")] = None
    senders: Annotated[tuple[str, ...], Prose("Reverse-paths and authors the client may use.")] = ()
    account: Annotated[AccountName | None, Prose("Account its mail leaves from.")] = None
    priority: Annotated[Priority, Prose("Lane of its mail.")] = "normal"
    messages_per_minute: Annotated[Count | None, Prose("What it may submit.")] = None
    legacy: Annotated[bool, Prose("A device that speaks old SMTP.")] = False
    default_sender: Annotated[AddressText | None, Prose("Reverse-path of mail that has none.")] = None
    size: Annotated[Size | None, Prose("Largest message it may submit, in octets.")] = None
    bounces_to: Annotated[AddressText | None, Prose("Who gets all reports about its mail.")] = None


class RouteSettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Patterns that choose an account, a lane and a lifetime."""

    from_: Annotated[str | None, Prose("Pattern of the reverse-path.")] = None
    to: Annotated[str | None, Prose("Pattern of a forward-path.")] = None
    recipients: Annotated[tuple[str, ...], Prose("Several such patterns, of which one must match.")] = ()
    client: Annotated[str | None, Prose("Name of the client that submitted.")] = None
    header: Annotated[str | dict[str, str] | None, Prose("Pattern of a header line.")] = None
    account: Annotated[AccountName | None, Prose("Account the mail leaves from.")] = None
    priority: Annotated[Priority | None, Prose("Lane.")] = None
    expire_after: Annotated[TimeSpan | None, Prose("Stop trying after this time.")] = None


class RetrySettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """When a deferred delivery is tried again (RFC 5321 4.5.4)."""

    first: Annotated[TimeSpan | None, Prose("Wait before the second attempt.")] = None
    factor: Annotated[Annotated[float, Meta(ge=1)] | None, Prose("Growth of the wait.")] = None
    maximum: Annotated[TimeSpan | None, Prose("Longest wait.")] = None
    expire_after: Annotated[TimeSpan | None, Prose("Give up after this time.")] = None
    warn_after: Annotated[Seconds | None, Prose("Tell the sender about the delay after this time.")] = None


class RelaySettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The relay: where it listens, where it keeps mail, where mail goes."""

    listen: Annotated[tuple[str, ...], Prose("host:port, or unix:/path.")] = ()
    listeners: Annotated[tuple[ListenerSettings, ...], Prose("Long form of listen.")] = ()
    spool: Annotated[str | None, Prose("sqlite:/path, or postgresql://user@host/database")] = None
    spool_password: Annotated[Reference | None, Prose("Password of the database's user.")] = None
    wake_url: Annotated[str | None, Prose("The database without the pooler of the spool, to be woken.")] = (
        None
    )
    node: Annotated[str | None, Prose("Name of this node, among those that share a database.")] = None
    account: Annotated[AccountName | None, Prose("Account used when no client or route names one.")] = None
    clients: Annotated[tuple[ClientSettings, ...], Prose("Who may submit.")] = ()
    routes: Annotated[tuple[RouteSettings, ...], Prose("The first that matches decides.")] = ()
    bounces_to: Annotated[AddressText | None, Prose("Who gets reports that have no other address.")] = None
    aliases: Annotated[
        str | dict[str, str] | None,
        Prose("Names and the addresses they stand for, or a file of them: /etc/aliases."),
    ] = None
    redirect_all_to: Annotated[
        AddressText | None, Prose("Staging: who gets all mail, but that to allow-recipients.")
    ] = None
    allow_recipients: Annotated[
        tuple[str, ...],
        Prose("Staging: addresses and @domain that mail may reach; other mail is held, or redirected."),
    ] = ()
    archive_to: Annotated[AddressText | None, Prose("Who gets a copy of each message.")] = None
    log: Annotated[
        tuple[str, ...],
        Prose("Where the log goes beside standard error: file:/path, syslog: or syslog://host:port."),
    ] = ()
    log_format: Annotated[Literal["text", "json"], Prose("How it looks there.")] = "text"
    log_size: Annotated[Size | None, Prose("Octets from which a log file is put aside.")] = None
    log_keep: Annotated[Count | None, Prose("How many log files that were put aside are kept.")] = None
    operators: Annotated[str | None, Prose("Group whose members may look at the queue.")] = None
    retry: Annotated[RetrySettings, Prose("When deferred mail is tried again.")] = RetrySettings()
    size: Annotated[Size | None, Prose("Largest message accepted, in octets.")] = None
    allow_ephemeral: Annotated[
        bool, Prose("Accept a spool on a file system that does not survive a restart.")
    ] = False


class LoginSettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Who may log in to the console."""

    name: Annotated[str, Prose("Name to log in by.")]
    password_hash: Annotated[str, Prose("argon2id hash of its password.")]
    role: Annotated[
        Literal["see", "operate", "admin"],
        Prose("see: look; operate: work on queue and accounts, too; admin: read messages, too."),
    ] = "see"
    totp: Annotated[Reference | None, Prose("Key of the second factor, by `secret totp`.")] = None


class HttpSettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The HTTP API of the relay, and its console."""

    listen: Annotated[tuple[str, ...], Prose("host:port, unix:/path or systemd:NAME.")] = ()
    certificate: Annotated[str | None, Prose("Certificate chain (PEM file).")] = None
    key: Annotated[str | None, Prose("Private key (PEM file).")] = None
    allowed_hosts: Annotated[
        tuple[str, ...], Prose("Host names it answers to, beside those it listens on.")
    ] = ()
    trusted_proxies: Annotated[
        tuple[NetworkText, ...], Prose("Proxies whose word counts for who a client is.")
    ] = ()
    base_path: Annotated[str | None, Prose("Path that a proxy puts it under.")] = None
    health_listen: Annotated[tuple[str, ...], Prose("host:port for health probes only.")] = ()
    one_time_codes: Annotated[
        Literal["this-machine", "anywhere"],
        Prose("From where a one-time code opens the console; from elsewhere there is TLS."),
    ] = "this-machine"
    accounts: Annotated[
        Literal["read-only", "editable"],
        Prose("editable: administrators may connect, change and remove accounts by HTTP and in the console."),
    ] = "read-only"
    logins: Annotated[tuple[LoginSettings, ...], Prose("Who may log in to the console by name.")] = ()


class WebhookSettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """An address that is called, and the secret that proves who calls."""

    url: Annotated[WebhookUrl, Prose("Where to; a secret reference if the address is a secret.")]
    secret: Annotated[Reference | None, Prose("Key of the signature (HMAC-SHA256).")] = None


class MessageWebhookSettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A program elsewhere that is told what becomes of each message."""

    name: Annotated[AccountName, Prose("Its name in commands, logs and metrics.")]
    url: Annotated[WebhookUrl, Prose("Where to; a secret reference if the address is a secret.")]
    secrets: Annotated[
        tuple[Reference, ...], Prose("Keys of the signature (whsec_…): one, or two while one is replaced.")
    ]
    events: Annotated[tuple[EventType, ...], Prose("What is told; all unless given.")] = ()
    accounts: Annotated[tuple[AccountName, ...], Prose("Only of mail that leaves from these.")] = ()
    clients: Annotated[tuple[str, ...], Prose("Only of mail that these submitted.")] = ()
    tags: Annotated[tuple[TagText, ...], Prose("Only of mail that has one of these, NAME:VALUE.")] = ()
    timeout: Annotated[TimeSpan | None, Prose("Limit for one call; 20 s.")] = None
    allow_private: Annotated[
        bool | tuple[NetworkText, ...],
        Prose("Whether it may be on this machine or in a private network, or in which networks."),
    ] = False
    ca_file: Annotated[str | None, Prose("Certificates to trust beside the system's (PEM).")] = None


class NotifySettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Who is told when an account pauses, something runs out, mail fails or waits too long."""

    webhooks: Annotated[tuple[WebhookUrl | WebhookSettings, ...], Prose("Addresses that are called.")] = ()
    mail_to: Annotated[tuple[AddressText, ...], Prose("Addresses that get a message.")] = ()
    account: Annotated[AccountName | None, Prose("Account those messages leave from.")] = None
    command: Annotated[
        str | tuple[str, ...] | None, Prose("Program that gets each notice as JSON on standard input.")
    ] = None
    events: Annotated[
        tuple[Literal["account", "expiry", "failure", "backlog"], ...], Prose("What is told.")
    ] = ("account", "expiry", "failure", "backlog")
    backlog_after: Annotated[Seconds | None, Prose("Mail that waits for longer is a backlog.")] = None
    heartbeat: Annotated[WebhookUrl | None, Prose("Address that is asked while all is well.")] = None
    heartbeat_file: Annotated[str | None, Prose("File whose time is set while all is well.")] = None
    heartbeat_every: Annotated[TimeSpan | None, Prose("How often; 1m.")] = None


class VaultSettings(Struct, rename="kebab", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The key that seals tokens; a key file in the state folder unless set."""

    key: Annotated[Reference | None, Prose("Key, shared by all nodes that share a PostgreSQL spool.")] = None
