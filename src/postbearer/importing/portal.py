"""A partner portal's SMTP and OAuth system properties as an account that keeps to its provider's pace.

Few of the names are documented, so that names are read by their meaning; for the rest there is ``--map``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from postbearer.config import holds_secret, typed_value
from postbearer.errors import ConfigError, ConfigErrors, UsageError
from postbearer.importing.draft import AccountDraft, ImportedConfiguration
from postbearer.importing.properties import Property, properties
from postbearer.importing.provider_lookup import ProviderMatch, by_server, by_token_url, use_preset
from postbearer.providers import names, preset
from postbearer.secrets import is_reference
from postbearer.suggestion import did_you_mean

NO_REPLY = "USE_NO_REPLY_EMAIL_ID_AS_SENDER_FOR_ALL_EMAILS"
URGENT = ("Subject: *code*",)
_STALE = "15 min"  # a login code that comes later is of no use

_ABOUT_MAIL = re.compile(r"SMTP|OAUTH2?|E?MAILS?")
_NOT_SENDING = re.compile(r"IMAP|POP3?")
_MEANINGS = {  # what a name says at its end, the words joined by _
    "no-reply": NO_REPLY,
    "grant": r".*GRANT(_TYPE)?",
    "connector-port": r".*CONNECTOR_PORT",
    "connector": r".*CONNECTOR(_HOST|_HOST_?NAME|_SERVER)?",
    "client-secret": r".*(CLIENT|APP|APPLICATION)_SECRET(_VALUE)?",
    "client-id": r".*(CLIENT|APP|APPLICATION)_ID",
    "tenant": r".*(TENANT|DIRECTORY)(_ID|_NAME)?",
    "token-url": r".*TOKEN_(URL|URI|ENDPOINT)(_URL)?",
    "scopes": r".*SCOPES?",
    "provider": r".*PROVIDER(_NAME)?",
    "token-user": r".*OAUTH2?_USER(_?NAME)?",
    "password": r".*(PASSWORD|PASSWD)",
    "username": r".*USER(_?NAME)?",
    "host": r".*(HOST|HOST_?NAME|SERVER|SERVER_NAME)",
    "port": r".*PORT",
}
_PROVIDERS = {  # names that portals show
    "microsoft exchange": "microsoft",
    "exchange": "microsoft",
    "exchange online": "microsoft",
    "microsoft": "microsoft",
    "office 365": "microsoft",
    "office365": "microsoft",
    "microsoft office 365": "microsoft",
    "o365": "microsoft",
}


def read_portal(
    content: bytes,
    draft: ImportedConfiguration,
    *,
    mapped: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
    connector: str = "",
    urgent: tuple[str, ...] = URGENT,
) -> None:
    """Add to `draft` the account of a portal's properties.

    `mapped` says which key a name stands for, and `given` what keys are, whatever the file says; `connector`
    is a relay without OAuth, ``host:port``, that sends what is too much for the provider; `urgent` are header
    patterns of mail that goes first. Raises `ConfigError` for what the portal itself could not send by, and
    `UsageError` for a name that is not there.
    """
    lines = list(properties(content))
    for key, value in (given or {}).items():
        _known_key(key)
        lines.insert(0, Property(f"--set {key}", value, 0))
    mapped = {**(mapped or {}), **{f"--set {key}": key for key in given or {}}}
    _Portal(lines, draft, mapped, connector, urgent).run()


@dataclass(slots=True)
class _Portal:
    lines: list[Property]
    draft: ImportedConfiguration
    mapped: dict[str, str]
    connector: str
    urgent: tuple[str, ...]
    found: dict[str, Property] = field(default_factory=dict)
    errors: list[ConfigError] = field(default_factory=list)

    def run(self) -> None:
        self._sort()
        self._demand_grant()
        provider = self._provider()
        user = self._user()
        if self.errors:
            raise self.errors[0] if len(self.errors) == 1 else ConfigErrors(self.errors)
        assert provider is not None
        assert user is not None
        account = self._account(provider, user)
        self._sender(account)
        self.draft.relay["account"] = account.name
        self._connector(account)
        self._routes()

    def _sort(self) -> None:
        """Find for each key the line that says it; name every line that nothing was made of."""
        there = [each.name for each in self.lines]
        for name, key in self.mapped.items():
            if name not in there:
                raise UsageError(
                    f"--map: {name} is not in {self.draft.file}.", hint=did_you_mean(name, there)
                )
            _known_key(key)
        for line in self.lines:
            key = self.mapped.get(line.name) or _meaning(line.name)
            if not key:
                self.draft.leave(
                    f"{line.name} was not used.",
                    f"If mail depends on it, say by which key: --map '{line.name}=KEY'",
                    line.line,
                )
            elif key in self.found and not self.found[key].line:
                continue  # a person has given it
            elif key in self.found:
                self.draft.leave(
                    f"{line.name} was not used: line {self.found[key].line} says the {key}.",
                    f"If this one holds, take the other away, or map it: --map '{line.name}=KEY'",
                    line.line,
                )
            elif line.value.strip():
                self.found[key] = line

    def _text(self, key: str) -> str:
        return self.found[key].value.strip() if key in self.found else ""

    def _line(self, key: str) -> int | None:
        return self.found[key].line if key in self.found else None

    def _refuse(self, message: str, hint: str, line: int | None = None) -> None:
        self.errors.append(self.draft.error(message, hint, line))

    # What has to be so, or the portal itself could not send ---------------------------------

    def _demand_grant(self) -> None:
        grant = self._text("grant")
        if not grant:
            self._refuse(
                "Nothing says the OAuth grant.",
                "If it is by password, say so: --set grant=password; or map its name: --map NAME=grant",
            )
        elif grant.casefold() != "password":
            self._refuse(
                f"The OAuth grant is {grant!r:.40}; the portal signs in by password.",
                "Set it to password; an account with another grant is written by hand: postbearer providers",
                self._line("grant"),
            )

    def _provider(self) -> ProviderMatch | None:
        """The provider: named, or told by its server or its token endpoint."""
        shown, line = self._text("provider"), self._line("provider")
        if not shown:
            host = self._text("host")
            if found := by_server(host) or by_token_url(self._text("token-url")):
                return found
            if not host:  # the portal itself knows no other
                self.draft.note(
                    "Nothing names the provider: it is Microsoft's, the only one the portal knows.",
                    "If it is another, import again with --set provider=NAME; see: postbearer providers",
                )
                return ProviderMatch("microsoft", None, preset("microsoft").in_cloud())
            self._refuse(
                f"Nothing says the provider, and {host} belongs to none that is known.",
                "Say it: --set provider=microsoft; or map its name: --map NAME=provider",
                self._line("host"),
            )
            return None
        folded = " ".join(shown.casefold().split())
        titles = {preset(name).title.casefold(): name for name in names() if name != "smtp"}
        name = _PROVIDERS.get(folded) or titles.get(folded) or (folded if folded in titles.values() else None)
        if name is None:
            self._refuse(
                f"The provider {shown!r:.60} is not one that is known.",
                f"Known are: {', '.join(titles.values())}.",
                line,
            )
            return None
        other = by_server(self._text("host"))
        if other is not None and other.chosen.name not in (name, f"{name}-relay", f"{name}-hve"):
            self._refuse(
                f"The provider is {shown!r:.60}, and the server is one of {other.chosen.title}.",
                "Correct one of the two.",
                self._line("host"),
            )
        if other is not None and other.preset == name:
            return other
        return ProviderMatch(name, None, preset(name).in_cloud())

    def _user(self) -> Property | None:
        user, other = self.found.get("username"), self.found.get("token-user")
        if user is None:
            self._refuse(
                "Nothing says the mailbox.",
                "Say it: --set username=user@example.org; or map its name: --map NAME=username",
            )
        elif other is not None and other.value.strip().casefold() != user.value.strip().casefold():
            self._refuse(
                f"{user.name} and {other.name} are not the same: a token is good for its own mailbox only.",
                f"Set both to the mailbox; {user.name} is on line {user.line}.",
                other.line,
            )
        return user

    # The account ----------------------------------------------------------------------------

    def _account(self, provider: ProviderMatch, user: Property) -> AccountDraft:
        account = self.draft.account("portal", user.line)
        account.put("provider", provider.preset, self._line("provider"))
        account.put("address", user.value.strip(), user.line)
        account.put("tenant", self._text("tenant"), self._line("tenant"))
        account.put("grant", "password", self._line("grant"))
        account.put("client-id", self._text("client-id"), self._line("client-id"))
        self._secrets(account)
        account.put("token-url", self._text("token-url"), self._line("token-url"))
        account.put("scopes", self._text("scopes").replace(",", " ").split() or None, self._line("scopes"))
        if host := self._text("host"):
            account.put("servers", [f"{host}:{self._text('port') or 587}"], self._line("host"))
            account.put("tls", "implicit" if self._text("port") == "465" else "starttls", self._line("port"))
        self._mapped_keys(account)
        use_preset(account, provider)
        return account

    def _secrets(self, account: AccountDraft) -> None:
        for key in ("client-secret", "password"):
            value = self.found.get(key)
            if value is not None and not value.line and is_reference(value.value):
                account.put(key, value.value)
            elif value is not None and value.value.strip("*• "):
                self.draft.secret(account, key, value.value, value.line)
            elif value is not None or key == "password":  # shown as stars, or not at all
                variable = self.draft.environment(f"portal_{key}", f"the {key} of portal")
                account.put(key, variable, value.line if value else None)

    def _mapped_keys(self, account: AccountDraft) -> None:
        """Keys of an account that only ``--map`` names."""
        for key, line in self.found.items():
            if key in _MEANINGS or key in account.keys:
                continue
            if holds_secret(f"accounts.portal.{key}"):
                self.draft.secret(account, key, line.value, line.line)
                continue
            value = typed_value(f"accounts.portal.{key}", line.value.strip())
            first, _, inner = key.partition(".")
            account.put(first, {**account.keys.get(first, {}), inner: value} if inner else value, line.line)

    def _sender(self, account: AccountDraft) -> None:
        account.put("sender", "force", self._line("no-reply"))
        if self._text("no-reply").casefold() != "true":
            self.draft.leave(
                f"{NO_REPLY} is not true: the portal writes as other people, and the provider refuses "
                "that after the content (554 5.2.252 SendAsDenied). Here everything leaves as the mailbox.",
                'Set it to true; or, if the mailbox may send as others, set sender = "allow".',
                self._line("no-reply"),
            )

    def _connector(self, portal: AccountDraft) -> None:
        """A relay without OAuth, for what is too much for the mailbox, and for when it is paused."""
        line = self._line("connector")
        place = self.connector or self._text("connector")
        if not place:
            return
        if ":" not in place:
            place = f"{place}:{self._text('connector-port') or 25}"
        account = self.draft.account("connector", line or 0)
        account.put("provider", "smtp")
        account.put("address", portal.keys["address"])
        account.put("servers", [place], line)
        account.put("tls", "starttls")
        account.put("authentication", "none")
        account.put("sender", "force")
        portal.put("fallback", account.name)
        portal.put("overflow", account.name)
        self.draft.note(
            f"{place} takes, without a login, what would wait over five minutes for the mailbox's limits, "
            "and everything while the mailbox is paused.",
            "It has to know this machine by its address, and to offer STARTTLS.",
            line,
        )

    def _routes(self) -> None:
        if self.urgent:
            self.draft.relay["routes"] = [
                {"header": pattern, "priority": "urgent", "expire-after": _STALE} for pattern in self.urgent
            ]
            self.draft.note(
                f"What goes first is told by its header: {'; '.join(self.urgent)}.",
                "Import again with --urgent 'Subject: *…*' if login codes have another subject.",
            )


def _meaning(name: str) -> str:
    """The key that a name stands for; empty if it is not about sending mail, or not known."""
    parts = re.findall(r"[A-Z0-9]+", name.upper())
    words = "_".join(parts)
    if not any(map(_ABOUT_MAIL.fullmatch, parts)) or any(map(_NOT_SENDING.fullmatch, parts)):
        return ""
    return next((key for key, pattern in _MEANINGS.items() if re.fullmatch(pattern, words)), "")


def _known_key(key: str) -> None:
    """Raise `UsageError` for a key that neither an account nor a portal has."""
    if key in _MEANINGS:
        return
    try:
        typed_value(f"accounts.portal.{key}", "")
    except ConfigError as error:
        raise UsageError(f"--map: {key} is not a known key.", hint=error.hint) from None


def parse_map(given: tuple[str, ...]) -> dict[str, str]:
    """``NAME=key``, each; names may hold ``=`` and blanks. Raises `UsageError`."""
    found: dict[str, str] = {}
    for each in given:
        name, equals, key = each.rpartition("=")
        if not equals or not name.strip() or not key.strip():
            raise UsageError(f"--map: {each!r:.60} is not NAME=key.", hint="Write --map 'MAIL_HOST=host'.")
        found[name.strip()] = key.strip()
    return found
