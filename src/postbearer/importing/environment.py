"""The environment file of a relay in a container: a Postfix, or one that sends by Microsoft's Graph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from postbearer.importing.draft import AccountDraft, ImportedConfiguration, decoded
from postbearer.importing.postfix import postfix_server
from postbearer.importing.provider_lookup import by_server, by_token_url, use_preset
from postbearer.importing.smtp2graph import Hash, note_graph, tenant_of
from postbearer.importing.tls_setting import tls_setting
from postbearer.secret import Secret

PORT = "2525"
_GOOGLE = "https://oauth2.googleapis.com/token"  # where a Postfix asks unless told
_LINE = re.compile(r"\s*(?:export\s+|-\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)")
_ELSEWHERE = re.compile(r"\$(\{\w+[^}]*\}|\w+)")
_NUMBERED = re.compile(r"__\d+$")

_NAMES = {  # what a variable stands for, by the name that one relay or another gives it
    "server": ("RELAYHOST",),
    "login": ("RELAYHOST_USERNAME",),
    "password": ("RELAYHOST_PASSWORD",),
    "tls": ("POSTFIX_smtp_tls_security_level",),
    "client-id": ("XOAUTH2_CLIENT_ID", "ENTRA_CLIENT_ID", "CLIENT_ID", "Relay__ClientId"),
    "client-secret": ("XOAUTH2_SECRET", "ENTRA_CLIENT_SECRET", "CLIENT_SECRET", "Relay__ClientSecret"),
    "refresh-token": ("XOAUTH2_INITIAL_REFRESH_TOKEN",),
    "token-url": ("XOAUTH2_TOKEN_ENDPOINT",),
    "tenant": ("ENTRA_TENANT_ID", "TENANT_ID", "Relay__TenantId"),
    "mailbox": ("SENDER_EMAIL", "Relay__Graph__SenderUser"),
    "mailbox-password": ("SENDER_PASSWORD",),
    "port": ("PORT", "SMTP_SERVER_ADDR", "Relay__Smtp__Port", "SMTP_BIND_PORT", "SMTP_LISTEN_PORT"),
    "size": ("POSTFIX_message_size_limit", "SMTP_MAX_MESSAGE_BYTES", "SMTP_MAX_MESSAGE_SIZE"),
    "users": ("SMTPD_SASL_USERS",),
    "domains": ("ALLOWED_SENDER_DOMAINS",),
    "senders": ("Relay__AllowedSenders",),
}
_MEANING = {name.casefold(): meaning for meaning, names in _NAMES.items() for name in names}
_SECRET = {"password", "client-secret", "refresh-token"}  # also as a file: NAME_FILE
_NETWORKS = "Name networks in [[relay.clients]], and a listener with TLS in [[relay.listeners]]."
_HINTS = {
    "postfix_mynetworks": _NETWORKS,
    "mynetworks": _NETWORKS,
    "relay__allowedrecipientdomains": "allow-recipients in [relay] holds mail for all others.",
    "smtp_max_recipients": "The relay takes 1000 recipients a message.",
    "xoauth2_initial_access_token": "A new one is got at once.",
    "masqueraded_domains": 'What leaves has the account\'s address, unless it has sender = "allow".',
    "dkim_autogenerate": "The provider signs.",
    "dkim_selector": "The provider signs.",
    "sentry_dsn": "[notify] says who is told when somebody has to act.",
    "encryption_key": "Mailboxes stand in a database that it opens: make them anew by postbearer init.",
    "log_format": "log-format in [relay].",
    "dev_mode": "allow-recipients and redirect-all-to in [relay] make a staging system.",
}


@dataclass(frozen=True, slots=True)
class _Variable:
    value: str
    line: int
    file: bool = False  # the value is the path of a file with it


@dataclass(slots=True)
class _Environment:
    """What the file says, by meaning; where it says a thing twice, the last counts."""

    known: dict[str, _Variable] = field(default_factory=dict)
    senders: list[str] = field(default_factory=list)

    def text(self, meaning: str) -> str:
        return self.known[meaning].value if meaning in self.known else ""

    def line(self, meaning: str) -> int:
        return self.known[meaning].line if meaning in self.known else 1


def read_environment(
    content: bytes, draft: ImportedConfiguration, *, hash_password: Hash, address: str = ""
) -> None:
    """Add to `draft` the mailbox and the clients of a container relay, as its environment file names them.

    `hash_password` makes what stands for the password of a client; `address` is the mailbox, where the file
    names none. Raises `ConfigError` if nothing in it says who sends.
    """
    found = _read(decoded(content, draft.file), draft)
    if found.text("server"):
        _postfix(found, draft, address)
    elif found.text("client-id"):
        _graph(found, draft, address)
    else:
        raise draft.error(
            "Nothing here says who sends: neither RELAYHOST nor the client id of an application.",
            "Name the file that the container gets by --env-file or env_file. Relays that keep it in a "
            "database cannot be read: postbearer init",
        )
    draft.relay = {"account": draft.accounts[0].name} | _relay(found, draft, hash_password)


def _read(text: str, draft: ImportedConfiguration) -> _Environment:
    found = _Environment()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if (said := _LINE.fullmatch(line.rstrip("\r"))) is None:
            draft.leave("This line is no NAME=value.", "Nothing to do, unless sending depends on it.", number)
            continue
        name, value = said["name"], _unquoted(said["value"].strip())
        plain = _NUMBERED.sub("", name).casefold()
        meaning = _MEANING.get(plain)
        of_file = _MEANING.get(plain.removesuffix("_file")) if plain.endswith("_file") else None
        if not value:
            continue
        if _ELSEWHERE.fullmatch(value):
            draft.leave(f"{name} refers to another variable.", "Write it out, and import again.", number)
        elif meaning == "senders":
            found.senders.append(value)
        elif meaning:
            found.known[meaning] = _Variable(value, number)
        elif of_file in _SECRET:
            found.known[of_file] = _Variable(value, number, file=True)
        else:
            hint = _HINTS.get(plain, "Nothing to do, unless sending depends on it.")
            draft.leave(f"{name} was not used.", hint, number)
    return found


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return re.split(r"\s+#", value, maxsplit=1)[0]


def _postfix(found: _Environment, draft: ImportedConfiguration, address: str) -> None:
    """One server, by the tokens of a person who signed in, by a password, or without a login."""
    login, line = found.text("login"), found.line("server")
    mailbox = address or (login if "@" in login else "")
    if not mailbox:
        raise draft.error(
            "No mailbox is named.", "Name the one that mail leaves from: --address ADDRESS", line
        )
    account = draft.account(mailbox, line)
    account.put("address", mailbox)
    if (place := postfix_server(found.text("server"))) is None:
        raise draft.error("RELAYHOST is no server.", "Write it as [mail.example.org]:587.", line)
    host, port = place
    token = "client-id" in found.known
    token_url = found.text("token-url").replace("https://accounts.google.com/o/oauth2/token", _GOOGLE)
    known = by_server(host) or (by_token_url(token_url or _GOOGLE) if token else None)
    account.put("provider", known.preset if known else "smtp", line)
    account.put("servers", [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"], line)
    tls = "implicit" if port == "465" else "starttls"
    if found.text("tls") == "none":
        tls = tls_setting(draft, account.title, host, token=token, line=found.line("tls"))
    account.put("tls", tls, found.line("tls"))
    if login and login != mailbox:
        account.put("username", login, found.line("login"))
    if token:
        account.put("mechanism", "xoauth2")
        account.put("grant", "refresh-token")
        account.put("client-id", found.text("client-id"), found.line("client-id"))
        account.put("token-url", token_url or _GOOGLE, found.line("token-url"))
        for key in ("client-secret", "refresh-token"):
            _secret(key, found, account, draft)
        draft.note(
            "A provider may give out a new refresh token at each use and end the old one: two programs that "
            "have the same one then end each other's sign-in.",
            "Stop the container before the relay sends.",
        )
    elif login:
        account.put("authentication", "password")
        _secret("password", found, account, draft)
    else:
        account.put("authentication", "none")
    if known:
        use_preset(account, known)


def _graph(found: _Environment, draft: ImportedConfiguration, address: str) -> None:
    """An application of Microsoft's, and the mailbox it sends as."""
    mailbox = found.text("mailbox") or address or next(iter(found.senders), "")
    line = found.line("client-id")
    if not mailbox:
        raise draft.error(
            "No mailbox is named: this relay sends as whoever writes.",
            "Name the mailbox that mail leaves from: --address ADDRESS",
            line,
        )
    account = draft.account(mailbox, line)
    account.put("provider", "microsoft")
    account.put("address", mailbox, found.line("mailbox"))
    account.put("tenant", tenant_of(found.text("tenant")), found.line("tenant"))
    account.put("grant", "client-credentials")
    account.put("client-id", found.text("client-id"), line)
    _secret("client-secret", found, account, draft)
    note_graph(draft, "The relay", line)


def _secret(key: str, found: _Environment, account: AccountDraft, draft: ImportedConfiguration) -> None:
    given = found.known.get(key)
    if given and given.file:
        account.put(key, f"file:{given.value}", given.line)
        draft.note(f"The {key} is in {given.value}, which is a path of the container.", line=given.line)
    elif given:
        draft.secret(account, key, given.value, given.line)


def _relay(found: _Environment, draft: ImportedConfiguration, hash_password: Hash) -> dict[str, Any]:
    """Where the relay listens, which is this machine alone, and for whom."""
    port = found.text("port").rpartition(":")[2]
    place = f"127.0.0.1:{port or PORT}"
    draft.note(
        f"The relay listens on {place}; under which port the container was published the file does not say.",
        "Other machines need TLS: give a certificate in [[relay.listeners]].",
        found.line("port") if port else None,
    )
    made: dict[str, Any] = {}
    clients = list(_clients(found, hash_password))
    if any("username" in each for each in clients):
        made["listeners"] = [{"address": place, "login-without-tls": True}]
        draft.note(f"Passwords come in clear on {place}: only programs of this machine can log in so.")
    else:
        made["listen"] = [place]
    if clients:
        made["clients"] = clients
    if (size := found.text("size")) and size != "0":  # Postfix's word for: any
        made["size"] = f"{size} B" if size.isdecimal() else size
    ours = {"listen": "port", "listeners": "users", "clients": "users", "size": "size"}
    draft.relay_lines |= {key: found.line(meaning) for key, meaning in ours.items()}
    return made


def _clients(found: _Environment, hash_password: Hash) -> Iterator[dict[str, Any]]:
    domains = [f"@{each.lstrip('@')}" for each in re.split(r"[\s,]+", found.text("domains")) if each]
    may = {"senders": found.senders or domains} if found.senders or domains else {}
    users = [each.partition(":") for each in found.text("users").split(",") if each.strip()]
    if mailbox_password := found.text("mailbox-password"):  # by which clients log in as the mailbox
        users.append((found.text("mailbox"), ":", mailbox_password))
    for user, _, password in users:
        name = user.strip()
        yield {"name": name, "username": name, "password-hash": hash_password(Secret(password)), **may}
    if may and not users:
        yield {"name": "allowed", "networks": ["127.0.0.0/8", "::1/128"], **may}
