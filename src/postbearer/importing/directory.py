"""A directory server's mail servers as accounts: who signs in how, in the order they are tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from postbearer.config import parse_duration
from postbearer.importing.draft import AccountDraft, ImportedConfiguration
from postbearer.importing.passphrases import Passphrases
from postbearer.importing.provider_lookup import by_server, use_preset
from postbearer.importing.tls_setting import tls_setting

_TLS = {"starttls": "starttls", "ssl": "implicit", "tls": "implicit"}
_SUBMISSION = {"basic-authorization": "basic"}
_HINTS = {  # properties that are known and have no equal here
    "hostname-verification-method": "Names in certificates are always verified.",
    "trust-manager-provider": "Name authorities of your own by ca-file; for token requests, SSL_CERT_FILE.",
    "key-manager-provider": "Name a certificate by tls-certificate, if the mail server asks for one.",
    "http-proxy-external-server": "Set HTTPS_PROXY for token requests.",
    "smtp-connection-properties": "Look for keys of the same meaning: postbearer config schema.",
    "response-timeout": "Token requests end after 30 s.",
}
_AS_EVER = {  # said in full, these mean what is done anyway
    "description": None,
    "enabled": "true",
    "hostname-verification-method": "strict",
    "request-method": "post",
}


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a property, with its line."""

    text: str
    line: int


@dataclass(slots=True)
class Object:
    """One configuration object. What is asked for is remembered, so that the rest can be reported."""

    title: str
    what: str
    type: str
    line: int
    values: dict[str, list[Value]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def all(self, name: str) -> list[Value]:
        self.used.add(name)
        return self.values.get(name, [])

    def one(self, name: str) -> Value | None:
        found = self.all(name)
        return found[-1] if found else None

    def text(self, name: str) -> str:
        found = self.one(name)
        return found.text if found else ""

    def line_of(self, name: str) -> int:
        found = self.values.get(name)
        return found[-1].line if found else self.line

    @property
    def enabled(self) -> bool:
        return self.text("enabled").casefold() != "false"


@dataclass(slots=True)
class Directory:
    """The objects by kind and folded name."""

    objects: dict[tuple[str, str], Object] = field(default_factory=dict)

    def find(self, kind: str, name: str) -> Object | None:
        return self.objects.get((kind, " ".join(name.casefold().split())))

    def of(self, kind: str) -> list[Object]:
        return [each for (its, _), each in self.objects.items() if its == kind]


def accounts_of(
    directory: Directory, draft: ImportedConfiguration, *, root: str, server: str, address: str
) -> None:
    """Add the accounts, chained in the order in which the servers are tried."""
    _complete(directory, draft, server, address)
    _Reading(directory, draft, Passphrases(directory, draft, root), address).run()


def _complete(directory: Directory, draft: ImportedConfiguration, server: str, address: str) -> None:
    """Where authorization methods stand alone, the mail server is the one that is given, or is asked for."""
    methods = directory.of("http-authorization-method")
    if not methods or any(each.type == "smtp" for each in directory.of("external-server")):
        return
    for method in methods:
        if not (server and address):
            draft.leave(
                f"{method.title} is there, and no mail server that uses it.",
                "Add the command create-external-server --type smtp, with server-host-name, server-port, "
                f"smtp-security, user-name and token-acquisition-method:{method.title}; or import again with "
                "--server HOST:PORT --address MAILBOX.",
                method.line,
            )
            method.used.add("")
            continue
        host, _, port = server.rpartition(":")
        values = {
            "server-host-name": host or server,
            "server-port": port if host else "587",
            "smtp-security": "ssl" if port == "465" else "starttls",
            "user-name": address,
            "token-acquisition-method": method.title,
        }
        made = Object(f"Mail by {method.title}", "external server", "smtp", method.line)
        made.values = {name: [Value(text, method.line)] for name, text in values.items()}
        directory.objects["external-server", made.title.casefold()] = made


@dataclass(slots=True)
class _Reading:
    directory: Directory
    draft: ImportedConfiguration
    passphrases: Passphrases
    address: str
    methods: dict[str, dict[str, tuple[Any, int]] | None] = field(default_factory=dict)

    def run(self) -> None:
        self.passphrases.read_all()
        ordered, others = self._ordered()
        if not self.address:
            self.address = next((each.text("user-name") for each in ordered if each.text("user-name")), "")
        chain = self._grouped(ordered)
        for above, below in pairwise(chain):
            above.put("fallback", below.name)
            above.put("fallback-when", "unreachable")
        for server in others:
            self.draft.note(
                f"{server.title} is not among the servers that smtp-server names: nothing turns to it.",
                "Take its account away, or name it in a route or as a fallback.",
                server.line,
            )
            self._account(server)
        for account in self.draft.accounts:
            if "grant" in account.keys and (known := by_server(_host(account))):
                use_preset(account, known)
        if self.draft.accounts:
            self.draft.relay["account"] = self.draft.accounts[0].name
        if len(chain) > 1:
            self.draft.note(
                "Servers with different logins are accounts of their own. "
                "Each is the fallback of the one above: it sends while that cannot be reached, or is paused.",
                "Mail then leaves as the fallback's own address.",
            )
        self.passphrases.report_spare()
        self._report_rest()

    def _ordered(self) -> tuple[list[Object], list[Object]]:
        """Mail servers in the order of ``smtp-server``, and those it does not name."""
        there = [each for each in self.directory.of("external-server") if each.type == "smtp"]
        overall = self.directory.find("global-configuration", "")
        named = overall.all("smtp-server") if overall else []
        if not named:
            if len(there) > 1:
                self.draft.note(
                    "No set-global-configuration-prop says by smtp-server in which order servers are tried.",
                    "They are tried in the order of the file.",
                )
            return there, []
        ordered: list[Object] = []
        for each in named:
            found = self.directory.find("external-server", each.text)
            if found is None or found not in there:
                self.draft.leave(
                    f"{each.text} is named as a mail server, and this file does not create it as one.",
                    "Put its create-external-server --type smtp into the file, and import it again.",
                    each.line,
                )
            elif found not in ordered:
                ordered.append(found)
        return ordered, [each for each in there if each not in ordered]

    def _grouped(self, servers: list[Object]) -> list[AccountDraft]:
        """One account for servers that follow each other and differ in nothing but their place."""
        made: list[tuple[AccountDraft, dict[str, Any]]] = []
        for server in servers:
            account = self._account(server)
            if account is None:
                continue
            login = {key: value for key, value in account.keys.items() if key not in ("servers", "timeout")}
            if made and made[-1][1] == login:
                self.draft.accounts.remove(account)
                _join(made[-1][0], account)
            else:
                made.append((account, login))
        return [account for account, _ in made]

    def _account(self, server: Object) -> AccountDraft | None:
        """The account of one server; None, and a remark, if it cannot sign in there."""
        host = server.text("server-host-name")
        port = server.text("server-port") or "25"
        user = server.text("user-name")
        method = server.one("token-acquisition-method")
        token: dict[str, tuple[Any, int]] = {}
        if method is not None:
            found = self._method(method)
            if found is None:
                self.draft.leave(
                    f"{server.title} is left out: its authorization method {method.text} cannot be used.",
                    "See what is said about that method.",
                    method.line,
                )
                return None
            token = found
        account = self.draft.account(server.title, server.line)
        account.put("provider", "smtp")
        account.put("address", user or self.address, server.line_of("user-name"))
        if not user and self.address:
            self.draft.note(
                f"{server.title} has no user name: mail leaves there as {self.address}.",
                "Import again with --address, if it should be another.",
                server.line,
            )
        account.put("servers", [f"{host}:{port}"], server.line_of("server-host-name"))
        account.put("tls", self._tls(server, host, bool(token)), server.line_of("smtp-security"))
        self._login(server, account, token)
        self._timeout(server, account)
        for key, (value, line) in token.items():
            account.put(key, value, line)
        return account

    def _login(self, server: Object, account: AccountDraft, token: dict[str, tuple[Any, int]]) -> None:
        provider, password = server.one("passphrase-provider"), server.one("password")
        if token:
            if provider or password:
                self.draft.note(
                    f"{server.title} has a password beside its authorization method; it is not used.",
                    line=(provider or password or server).line,
                )
        elif provider is not None:
            account.put("authentication", "password")
            account.put("password", self.passphrases.reference(provider), provider.line)
        elif password is not None:
            account.put("authentication", "password")
            self.draft.secret(account, "password", password.text, password.line)
        else:
            account.put("authentication", "none")

    def _tls(self, server: Object, host: str, token: bool) -> str:
        security = server.text("smtp-security").casefold() or "none"
        line = server.line_of("smtp-security")
        if security in _TLS:
            return _TLS[security]
        if security != "none":
            self.draft.leave(
                f"smtp-security of {server.title} is none that is known; STARTTLS is demanded.",
                'Set tls to "starttls" or "implicit".',
                line,
            )
        else:
            return tls_setting(self.draft, server.title, host, token=token, line=line)
        return "starttls"

    def _timeout(self, server: Object, account: AccountDraft) -> None:
        timeout = server.one("smtp-timeout")
        if timeout is not None and (seconds := self._duration(timeout)):
            account.put("timeout", seconds, timeout.line)

    def _duration(self, value: Value) -> str:
        try:
            seconds = parse_duration(value.text)
        except ValueError:
            self.draft.leave("This is not a duration.", "Set the key by hand.", value.line)
            return ""
        return value.text if seconds else ""

    # Authorization methods ----------------------------------------------------------------

    def _method(self, named: Value) -> dict[str, tuple[Any, int]] | None:
        """The keys of an account that come from an authorization method; None if it cannot be used."""
        found = self.directory.find("http-authorization-method", named.text)
        if found is None:
            self.draft.leave(
                f"The authorization method {named.text} is not created in this file.",
                "Put its create-http-authorization-method into the file, and import it again.",
                named.line,
            )
            return None
        if found.title not in self.methods:
            self.methods[found.title] = self._read_method(found)
        return self.methods[found.title]

    def _read_method(self, method: Object) -> dict[str, tuple[Any, int]] | None:
        if not method.enabled:
            self.draft.leave(
                f"{method.title} is not enabled.",
                "Set enabled:true in the file, if it is to be used, and import it again.",
                method.line_of("enabled"),
            )
            return None
        if (token := method.one("oauth-token-passphrase-provider")) is not None:
            return {
                "grant": ("static", method.line),
                "token": (self.passphrases.reference(token), token.line),
            }
        if method.type == "client-credentials-bearer-token":
            return self._client_credentials(method)
        self.draft.leave(
            f"{method.title} gets no token for mail; its type: {method.type or 'none'}.",
            "Write the account by hand; postbearer providers lists the grants.",
            method.line,
        )
        return None

    def _client_credentials(self, method: Object) -> dict[str, tuple[Any, int]]:
        keys: dict[str, tuple[Any, int]] = {"grant": ("client-credentials", method.line)}
        for ours, theirs in (
            ("token-url", "oauth-server-token-endpoint-url"),
            ("client-id", "oauth-client-id"),
        ):
            if (value := method.one(theirs)) is not None:
                keys[ours] = (value.text, value.line)
        if (secret := method.one("oauth-client-secret-passphrase-provider")) is not None:
            keys["client-secret"] = (self.passphrases.reference(secret), secret.line)
        scopes = method.all("requested-scope")
        if words := [word for each in scopes for word in each.text.split()]:
            keys["scopes"] = (words, scopes[0].line)
        if (lifetime := method.one("maximum-token-lifetime")) and (text := self._duration(lifetime)):
            keys["maximum-token-lifetime"] = (text, lifetime.line)
        submission = method.values.get("credentials-submission-method", [])
        if submission and (way := _SUBMISSION.get(submission[-1].text.casefold())):
            method.used.add("credentials-submission-method")
            keys["client-authentication"] = (way, submission[-1].line)
        return keys

    def _report_rest(self) -> None:
        """Name every property of the objects about mail that nothing was made of."""
        for thing in self.directory.objects.values():
            if not thing.used and thing.type != "smtp":
                self.draft.leave(
                    f"{thing.title or 'The ' + thing.what} ({thing.what}) is needed by no account here.",
                    "Nothing to do, unless sending depends on it.",
                    thing.line,
                )
                continue
            for name, values in thing.values.items():
                usual = _AS_EVER.get(name, "")
                if name in thing.used or usual is None or (usual and values[-1].text.casefold() == usual):
                    continue
                self.draft.leave(
                    f"The property {name} of {thing.title or 'the ' + thing.what} was not used.",
                    _HINTS.get(name, "Nothing to do, unless sending depends on it."),
                    values[-1].line,
                )


def _join(first: AccountDraft, other: AccountDraft) -> None:
    """Let one account try both servers; a time allowed for each becomes one for all together."""
    first.put("servers", [*first.keys["servers"], *other.keys["servers"]], first.lines["servers"])
    first.title = f"{first.title}, {other.title}"
    times = [each.keys.get("timeout") for each in (first, other)]
    if all(times):
        first.put("timeout", f"{sum(map(parse_duration, times)):g} s", first.lines["timeout"])
    else:
        first.keys.pop("timeout", None)


def _host(account: AccountDraft) -> str:
    return str(account.keys["servers"][0]).rpartition(":")[0]
