"""msmtp's configuration: accounts with defaults and inheritance, tokens from a command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from postbearer.importing.draft import AccountDraft, ImportedConfiguration, decoded
from postbearer.importing.provider_lookup import by_server, use_preset
from postbearer.importing.tls_setting import tls_setting

_TOKENS = ("oauthbearer", "xoauth2")
_IMPOSSIBLE = ("gssapi", "ntlm")
_SHELL = re.compile(r"[|&;<>()$`*?\[\]~\n!#{}]|^\s*\w+=")  # what only a shell understands
_PATTERN = re.compile(r"[%*?\[]")
_AS_EVER = {  # commands whose usual value is what is done anyway
    "protocol": ("smtp",),
    "tls_certcheck": ("on",),
    "auto_from": ("off",),
    "set_date_header": ("auto",),
    "set_msgid_header": ("auto",),
    "set_from_header": ("auto", "on"),
    "add_missing_date_header": ("on",),
    "add_missing_from_header": ("on",),
    "remove_bcc_headers": ("on",),
    "undisclosed_recipients": ("off",),
    "allow_from_override": ("on", "off"),
    "dsn_notify": ("off",),
    "dsn_return": ("off",),
}
_OF_OLD = {  # commands of old files → how they are said now
    "tls_nostarttls": ("tls_starttls", "off"),
    "tls_nocertcheck": ("tls_certcheck", "off"),
    "keepbcc": ("remove_bcc_headers", "off"),
}
_PLAIN = ("on", "plain", "login")  # what signing in by a password here is
_HINTS = {
    "aliases": "Give programs whole addresses, such as MAILTO=you@example.org for cron.",
    "dsn_notify": "Programs ask for reports themselves: sendmail -N, or postbearer send --dsn-notify.",
    "dsn_return": "Programs ask for it themselves: sendmail -R, or postbearer send --dsn-return.",
    "from_full_name": "Programs say it themselves: sendmail -F.",
    "logfile": "The relay logs by itself, and queue shows what became of each message.",
    "syslog": "The relay logs by itself, and queue shows what became of each message.",
    "tls_certcheck": "Certificates are always verified; name an authority of your own by ca-file.",
    "tls_fingerprint": "Certificates are always verified; name the server's own certificate by ca-file.",
    "tls_host_override": "Use the name in the certificate as the server's name, by DNS or /etc/hosts.",
    "remove_bcc_headers": "Bcc is taken away wherever recipients are read from the header.",
}


@dataclass(frozen=True, slots=True)
class _Setting:
    value: str
    line: int


@dataclass(slots=True)
class _Entry:
    """One account of the file, with what it inherits."""

    name: str
    line: int
    settings: dict[str, _Setting] = field(default_factory=dict)
    parents: list[str] = field(default_factory=list)
    own: bool = False  # says something itself

    def text(self, name: str) -> str:
        return self.settings[name].value if name in self.settings else ""

    def on(self, name: str, *, usual: bool) -> bool:
        return self.settings[name].value.casefold() in ("on", "") if name in self.settings else usual

    def line_of(self, name: str) -> int:
        return self.settings[name].line if name in self.settings else self.line


def read_msmtp(content: bytes, draft: ImportedConfiguration, *, address: str = "") -> None:
    """Add to `draft` the accounts of an msmtp configuration.

    `address` is the mailbox of accounts that name none. Raises `ConfigError` if the file is none.
    """
    entries = _entries(decoded(content, draft.file), draft)
    names: dict[str, str] = {}
    for entry in entries.values():
        if entry.name == "default" and not entry.own and len(entry.parents) == 1:
            continue  # only says which one is meant
        if made := _account(entry, draft, address):
            names[entry.name] = made.name
    usual = entries.get("default")
    only = usual is not None and not usual.own and len(usual.parents) == 1
    named = usual.parents[0] if usual and only else "default"
    if names:
        draft.relay["account"] = names.get(named, next(iter(names.values())))


def _entries(text: str, draft: ImportedConfiguration) -> dict[str, _Entry]:
    """The accounts by name, each with the defaults and the settings of those it names filled in."""
    defaults: dict[str, _Setting] = {}
    entries: dict[str, _Entry] = {}
    current: _Entry | None = None
    into: dict[str, _Setting] | None = None  # None: in front of any account, so of the one called default
    for number, command, value in _lines(text):
        if command == "defaults":
            current, into = None, defaults  # a second section adds to the first
        elif command == "account":
            name, _, inherited = value.partition(":")
            current = _Entry(name.strip(), number, dict(defaults))
            for parent in filter(None, map(str.strip, inherited.split(","))):
                if parent not in entries:
                    draft.leave(
                        f"The account {current.name} builds on {parent}, which is not defined before it.",
                        "Define it further up.",
                        number,
                    )
                    continue
                current.parents.append(parent)
                current.settings |= entries[parent].settings
            entries[current.name] = current
            into = current.settings
        elif command == "eval":
            draft.leave(
                "A line that a command writes was left out: nothing is run while importing.",
                "Write what the command prints in its place, and import again.",
                number,
            )
        else:
            if into is None:
                current = entries["default"] = _Entry("default", number)
                into = current.settings
            into[command] = _Setting(value, number)
            if current is not None:
                current.own = True
    return entries


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, command and argument; the argument may stand in double quotes."""
    for number, line in enumerate(text.split("\n"), 1):
        command, _, value = line.strip().partition(" ")
        if "\t" in command:
            command, _, value = line.strip().partition("\t")
        if not command or command.startswith("#"):
            continue
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        command = "timeout" if command == "connect_timeout" else command
        command, value = _OF_OLD.get(command, (command, value))
        yield number, command, value


def _account(entry: _Entry, draft: ImportedConfiguration, address: str) -> AccountDraft | None:
    auth = "on" if (text := entry.text("auth").casefold()) == "" and "auth" in entry.settings else text
    if problem := _impossible(entry, auth):
        draft.leave(f"The account {entry.name} is left out: {problem}.", "Write it by hand.", entry.line)
        return None
    token = auth in _TOKENS
    if token and re.match(r"(?:\S*/)?postbearer\s+token\b", entry.text("passwordeval")):
        draft.leave(
            f"The account {entry.name} gets its tokens from postbearer already.",
            "It is there: postbearer config show",
            entry.line_of("passwordeval"),
        )
        return None
    account = draft.account(entry.name, entry.line)
    implicit = entry.on("tls", usual=False) and not entry.on("tls_starttls", usual=True)
    host, port = entry.text("host"), entry.text("port") or ("465" if implicit else "25")
    account.put("provider", "smtp")
    _who(entry, draft, account, address)
    if host:
        account.put(
            "servers", [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"], entry.line_of("host")
        )
    if not entry.on("tls", usual=False):
        tls = tls_setting(draft, f"The account {entry.name}", host, token=token, line=entry.line_of("tls"))
    else:
        tls = "implicit" if implicit else "starttls"
    account.put("tls", tls, entry.line_of("tls"))
    _login(entry, draft, account, auth)
    _way(entry, draft, account)
    _report_rest(entry, draft)
    if token and (known := by_server(host)):
        use_preset(account, known)
    return account


def _impossible(entry: _Entry, auth: str) -> str:
    if entry.text("protocol").casefold() == "lmtp":
        return "it speaks LMTP"
    if entry.text("socket"):
        return "its server is a socket of this machine"
    return f"it signs in by {auth}" if auth in _IMPOSSIBLE else ""


def _who(entry: _Entry, draft: ImportedConfiguration, account: AccountDraft, address: str) -> None:
    """The mailbox, the login if it is another, and who else may be the sender."""
    user, sender = entry.text("user"), entry.text("from")
    pattern = bool(_PATTERN.search(sender))
    mailbox = sender if sender and not pattern else ""
    mailbox = mailbox or (user if "@" in user else "") or address
    account.put("address", mailbox, entry.line_of("from" if mailbox == sender else "user"))
    if user and user != mailbox:
        account.put("username", user, entry.line_of("user"))
    if pattern:
        account.put("sender", "allow", entry.line_of("from"))
        draft.note(
            f"from {sender} of {entry.name} is a pattern: any sender may leave by this account.",
            "Name the senders by aliases; several accounts are told apart by [[relay.routes]].",
            entry.line_of("from"),
        )
        if not mailbox:
            draft.leave(
                f"Nothing says the mailbox of {entry.name}.",
                "Import again with --address ADDRESS.",
                entry.line_of("from"),
            )
    elif entry.on("allow_from_override", usual=True):
        draft.note(
            "msmtp lets programs choose the sender; here everything leaves as the account's address.",
            'If the mailbox may send as others, set sender = "allow".',
        )


def _login(entry: _Entry, draft: ImportedConfiguration, account: AccountDraft, auth: str) -> None:
    command, line = entry.text("passwordeval"), entry.line_of("passwordeval")
    if auth in _TOKENS:
        account.put("mechanism", auth, entry.line_of("auth"))
        if entry.text("password"):
            account.put("grant", "static", entry.line_of("password"))
            draft.secret(account, "token", entry.text("password"), entry.line_of("password"))
        else:
            account.put("grant", "command", entry.line_of("auth"))
            account.put("command", _run(command), line)
            if command:
                draft.note(
                    f"The tokens of {entry.name} come from a command of yours.",
                    "With another grant postbearer gets and renews them itself: postbearer providers",
                    line,
                )
    elif auth == "external":
        account.put("authentication", "certificate", entry.line_of("auth"))
    elif auth in ("", "off"):
        account.put("authentication", "none", entry.line_of("auth"))
    else:
        account.put("authentication", "password", entry.line_of("auth"))
        if auth not in _PLAIN:
            draft.note(
                f"{entry.name} signs in by {auth.upper()}; here the server sees the password.",
                "Nothing to do, if the server offers PLAIN or LOGIN as well; postbearer check says so.",
                entry.line_of("auth"),
            )
        if entry.text("password"):
            draft.secret(account, "password", entry.text("password"), entry.line_of("password"))
        elif command:
            run = _run(command)
            reference = run if isinstance(run, str) else shlex.join(run)
            account.put("password", f"command:{reference}", line)
        else:
            variable = draft.environment(f"{account.name}_password", f"the password of {account.title}")
            account.put("password", variable)


def _run(command: str) -> str | list[str]:
    """A command line that runs without a shell, or by one if only a shell understands it."""
    return ["sh", "-c", command] if _SHELL.search(command) else command


def _way(entry: _Entry, draft: ImportedConfiguration, account: AccountDraft) -> None:
    timeout = entry.text("timeout")
    if timeout.isdecimal() and timeout.strip("0"):
        account.put("timeout", f"{timeout} s", entry.line_of("timeout"))
    domain = entry.text("domain")
    if "%" in domain:
        draft.leave("domain with a pattern was not used.", "Set ehlo-name.", entry.line_of("domain"))
    elif domain != "localhost":
        account.put("ehlo-name", domain, entry.line_of("domain"))
    if proxy := entry.text("proxy_host"):
        account.put(
            "proxy", f"socks5://{proxy}:{entry.text('proxy_port') or 1080}", entry.line_of("proxy_host")
        )
    if (trusted := entry.text("tls_trust_file")) != "system":
        line = entry.line_of("tls_trust_file")
        account.put("ca-file", draft.path(trusted, line), line)
    certificate, key = entry.text("tls_cert_file"), entry.text("tls_key_file")
    if certificate and certificate == key:
        line = entry.line_of("tls_cert_file")
        account.put("tls-certificate", draft.path(certificate, line), line)
    elif certificate:
        draft.leave(
            f"The certificate of {entry.name} and its key are two files.",
            "Put both into one file, and name it by tls-certificate.",
            entry.line_of("tls_cert_file"),
        )


_USED = {
    *("host", "port", "tls", "tls_starttls", "auth", "user", "password", "passwordeval", "from", "timeout"),
    *("proxy_host", "proxy_port", "tls_cert_file", "tls_key_file", "tls_trust_file", "domain"),
}


def _report_rest(entry: _Entry, draft: ImportedConfiguration) -> None:
    """Name every command that nothing was made of."""
    for name, setting in entry.settings.items():
        value = setting.value.casefold() or "on"
        if name in _USED or value in _AS_EVER.get(name, ()) or (not setting.value and name in _HINTS):
            continue
        draft.leave(
            f"{name} was not used.",
            _HINTS.get(name, "Nothing to do, unless sending depends on it."),
            setting.line,
        )
