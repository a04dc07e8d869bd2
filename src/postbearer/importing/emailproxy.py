"""email-oauth2-proxy's configuration: accounts by address, and the servers they reach through it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from postbearer.http import is_loopback
from postbearer.importing.draft import AccountDraft, ImportedConfiguration, decoded
from postbearer.importing.inifile import Section, sections
from postbearer.importing.provider_lookup import ProviderMatch, by_server, by_token_url, use_preset

_FLOWS = {
    "": "authorization-code",
    "authorization_code": "authorization-code",
    "device": "device-code",
    "client_credentials": "client-credentials",
    "password": "password",
    "service_account": "jwt-bearer",
}
_READING = re.compile(r"IMAP|POP", re.IGNORECASE)  # scopes that are for fetching mail
_PLACEHOLDER = "***"
_KEPT_BY_THE_PROXY = {  # its own tokens, which it locks by the password of its client
    *("token_salt", "token_iterations", "access_token", "access_token_expiry", "refresh_token"),
    *("last_activity", "documentation", "use_pkce"),
}
_HINTS = {
    "redirect_uri": "Sign in with postbearer login, which waits on a loopback address.",
    "redirect_listen_address": "Sign in with postbearer login --paste on a machine without a browser.",
    "local_starttls": "Give the relay a certificate: [[relay.listeners]].",
    "local_certificate_path": "Give the relay a certificate: [[relay.listeners]].",
    "local_key_path": "Give the relay a certificate: [[relay.listeners]].",
    "plugins": "There is nothing of the kind.",
}


def read_emailproxy(content: bytes, draft: ImportedConfiguration) -> None:
    """Add to `draft` the accounts of an ``emailproxy.config``. Raises `ConfigError` if the file is none."""
    found = sections(decoded(content, draft.file), draft.file)
    _Proxy(
        draft,
        servers=[each for each in found if re.fullmatch(r"SMTP-\d+", each.name)],
        accounts=[each for each in found if "@" in each.name],
        others=[each for each in found if re.fullmatch(r"(?:IMAP|POP)-\d+", each.name)],
    ).run()


@dataclass(slots=True)
class _Proxy:
    draft: ImportedConfiguration
    servers: list[Section]
    accounts: list[Section]
    others: list[Section]
    listening: list[str] = field(default_factory=list)

    def run(self) -> None:
        for each in self.others:
            self.draft.leave(f"{each.name} is for fetching mail.", "Keep the proxy for that.", each.line)
        for server in self.servers:
            self._listen(server)
        domains = {each.name.casefold(): each for each in self.accounts if each.name.startswith("@")}
        mailboxes = [each for each in self.accounts if each.name.casefold() not in domains]
        for mailbox in mailboxes:
            if shared := domains.get(f"@{mailbox.name.rpartition('@')[2].casefold()}"):
                mailbox.inherit(shared)
            self._account(mailbox)
        for section in domains.values():
            if not section.used:
                self.draft.leave(
                    f"[{section.name}] stands for all accounts of a domain, and the file names none of them.",
                    "Write a section for each mailbox that sends, such as [alerts@example.org].",
                    section.line,
                )
                section.used |= set(section.values)
        for section in (*self.accounts, *self.servers):
            self._report_rest(section)
        made = self.draft.accounts
        if made:
            self.draft.relay |= {"listen": self.listening or ["127.0.0.1:2525"], "account": made[0].name}
        if len(made) > 1:
            self.draft.relay["routes"] = [
                {"from": each.keys["address"], "account": each.name} for each in made
            ]
            self.draft.note(
                "The proxy knows an account by the client's login, the relay by the sender: see the routes.",
                "Give clients a login of their own, if that is not enough: [[relay.clients]].",
            )

    def _listen(self, server: Section) -> None:
        """Where clients find the relay: where they found the proxy, as long as that is this machine."""
        port, address = server.name.partition("-")[2], server.text("local_address")
        server.used |= {"server_address", "server_port", "server_starttls", "starttls"}
        if not is_loopback(address):
            self.draft.note(
                f"[{server.name}] listens on {address or 'all addresses'}; here it is 127.0.0.1:{port}.",
                "Other machines need TLS and a login: [[relay.listeners]] and [[relay.clients]].",
                server.line_of("local_address"),
            )
            address = "127.0.0.1"
        place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        if place not in self.listening:
            self.listening.append(place)

    def _account(self, section: Section) -> None:
        account = self.draft.account(section.name, section.line)
        token_url = _given(section, "token_url")
        server, known = self._server(section, token_url)
        account.put("provider", known.preset if known and not server else "smtp", section.line)
        account.put("address", section.name, section.line)
        if server is not None:
            place = f"{server.text('server_address')}:{server.text('server_port')}"
            starttls = server.on("server_starttls") or server.on("starttls")
            account.put("servers", [place], server.line_of("server_address"))
            account.put("tls", "starttls" if starttls else "implicit", server.line_of("server_starttls"))
        self._grant(section, account)
        account.put("token-url", token_url, section.line_of("token_url"))
        self._scopes(section, account)
        self._secrets(section, account)
        if known:
            use_preset(account, known)

    def _server(self, section: Section, token_url: str) -> tuple[Section | None, ProviderMatch | None]:
        """The mail server of an account: the file does not say, but tokens of one provider fit one server."""
        usable = [each for each in self.servers if each.text("server_address")]
        host = urlsplit(token_url).hostname
        fitting = []
        for each in usable:
            known = by_server(each.text("server_address"))
            if known is not None and urlsplit(known.chosen.token_url).hostname == host:
                fitting.append((each, known))
        if fitting:
            if len(fitting) > 1:
                self.draft.note(
                    f"{section.name} could use several servers; it got that of [{fitting[0][0].name}].",
                    "Change servers, if it should be another.",
                    section.line,
                )
            return fitting[0]
        if known := by_token_url(token_url):
            return None, known
        unknown = [each for each in usable if by_server(each.text("server_address")) is None]
        return (unknown[0], None) if len(unknown) == 1 else (None, None)

    def _grant(self, section: Section, account: AccountDraft) -> None:
        flow, line = section.text("oauth2_flow"), section.line_of("oauth2_flow")
        grant = _FLOWS.get(flow.casefold())
        if grant is None:
            self.draft.leave(f"The flow {flow!r:.40} is not known.", "Set the grant by hand.", line)
            return
        account.put("grant", grant, line)
        url = _given(section, "permission_url")
        if grant in ("authorization-code", "device-code"):
            key = "authorize-url" if grant == "authorization-code" else "device-url"
            account.put(key, url, section.line_of("permission_url"))
            if section.text("redirect_uri").rstrip("/") != "http://localhost":
                section.used.discard("redirect_uri")
            self.draft.note(
                f"{section.name} signs in anew: the proxy's tokens are locked by the password of its client.",
                f"Run: postbearer login {account.name}",
                section.line,
            )
        elif grant == "password":
            variable = self.draft.environment(f"{account.name}_password", f"the password of {account.title}")
            account.put("password", variable, section.line)
        if resource := _given(section, "oauth2_resource"):
            account.put("extra-token-parameters", {"resource": resource}, section.line_of("oauth2_resource"))

    def _scopes(self, section: Section, account: AccountDraft) -> None:
        words = _given(section, "oauth2_scope").split()
        kept = [each for each in words if not _READING.search(each)]
        account.put("scopes", kept or None, section.line_of("oauth2_scope"))
        if kept and len(kept) < len(words):
            self.draft.note(
                f"The scopes of {section.name} for fetching mail are left away.",
                "Nothing to do: sending does not need them.",
                section.line_of("oauth2_scope"),
            )

    def _secrets(self, section: Section, account: AccountDraft) -> None:
        client, secret = _given(section, "client_id"), _given(section, "client_secret")
        line = section.line_of("client_secret")
        if account.keys.get("grant") == "jwt-bearer":
            if client == "file":
                path = self.draft.path(secret, line)
                account.put("service-account", f"file:{path}" if path else None, line)
            else:
                self.draft.secret(account, "service-account", secret, line)
            return
        account.put("client-id", client, section.line_of("client_id"))
        self.draft.secret(account, "client-secret", secret, line)
        for key, theirs in (("certificate", "jwt_certificate_path"), ("private-key", "jwt_key_path")):
            if path := _given(section, theirs):
                line = section.line_of(theirs)
                account.put(key, f"file:{self.draft.path(path, line)}", line)
        if not secret and section.text("client_secret_encrypted"):
            variable = self.draft.environment(
                f"{account.name}_client_secret", f"the client-secret of {account.title}"
            )
            account.put("client-secret", variable, section.line_of("client_secret_encrypted"))
            self.draft.leave(
                f"The client secret of {section.name} is locked by the password of the proxy's client.",
                f"Set {variable.removeprefix('env:')} to the secret as the provider showed it.",
                section.line_of("client_secret_encrypted"),
            )

    def _report_rest(self, section: Section) -> None:
        for key in section.rest:
            if key not in _KEPT_BY_THE_PROXY:
                self.draft.leave(
                    f"{key} of [{section.name}] was not used.",
                    _HINTS.get(key, "Nothing to do, unless sending depends on it."),
                    section.line_of(key),
                )


def _given(section: Section, key: str) -> str:
    """A value, unless it is still the one of the example that is to be replaced."""
    value = section.text(key)
    return "" if _PLACEHOLDER in value else value
