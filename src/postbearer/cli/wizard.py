"""The questions of ``postbearer init``: each is asked again, with the reason, until its answer will do."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from postbearer.cli.output import printable, style
from postbearer.control import KEYS, ConfigurationDraft, usual_name
from postbearer.errors import ConfigError, PostbearerError, SecretError
from postbearer.secret import Secret
from postbearer.suggestion import did_you_mean

if TYPE_CHECKING:
    from postbearer.providers import Preset

_FILES = ("certificate", "private-key", "assertion", "service-account")  # secrets that usually are files
_SECRETS = ("client-secret", "key-password", "password", "refresh-token", "token", *_FILES)
_LISTS = ("servers", "scopes")
_QUESTIONS = {
    "address": "The mailbox that mail leaves from",
    "tenant": "The organisation's domain or directory id",
    "client-id": "Id of the app that is registered there",
    "servers": "Mail server, as host:port",
    "token-url": "Token endpoint",
    "authorize-url": "Authorization endpoint",
    "device-url": "Device authorization endpoint",
    "command": "Command that prints an access token",
}
_PLACES = {
    "sealed": "I type it now; it is sealed for this machine",
    "env": "an environment variable",
    "file": "a file",
    "command": "a command prints it",
    "other": "a vault or another store: I type the reference",
}
_NONE = "none"
_USUAL = ("microsoft", "google", "outlook")


@dataclass(slots=True)
class Wizard:
    """Asks for what `draft` lacks. `relay` says whether one is wanted, if that is known."""

    draft: ConfigurationDraft
    relay: bool | None
    usual_listen: str

    def run(self) -> bool:
        """Ask everything; False if the last question, whether to write, was answered by no."""
        self._introduce()
        self._provider()
        self._ask_for("address")
        self._name()
        self.draft.complete()
        if self.draft.preset.no_oauth and self.draft.keys.get("authentication", "oauth") == "oauth":
            self.draft.put("grant", None)
            self.draft.put("authentication", "password")
        if self.draft.preset.no_oauth:
            say(self.draft.preset.no_oauth)
        self._grant()
        self._place()
        self._rest()
        self._relay()
        say("", self.draft.addition.section().rstrip("\n"), "")
        return ready(f"Write this to {self.draft.addition.path}?")

    def _introduce(self) -> None:
        addition = self.draft.addition
        if accounts := addition.accounts():
            say(f"{addition.path} has {', '.join(accounts)}. This adds an account; all else there stays.")
        say("Ctrl-C ends this; nothing is written before the last question.")

    def _provider(self) -> None:
        known, keys = self.draft.providers, self.draft.keys
        while True:
            if "provider" not in keys:
                names = sorted(known.names(), key=lambda name: (_rank(name), name))
                titles = {name: known.preset(name).title for name in names}
                self.draft.put("provider", choose("Who carries the mail?", titles))
            try:
                chosen = known.preset(self.draft.keys["provider"], self.draft.keys.get("cloud", ""))
            except ConfigError as error:
                refuse(error)
                self.draft.put("cloud" if error.key == "cloud" else "provider", None)
                keys = self.draft.keys
                continue
            break
        if len(chosen.clouds) > 1 and "cloud" not in self.draft.keys:
            first = next(iter(chosen.clouds))
            clouds = {name: each.note or ", ".join(each.servers) for name, each in chosen.clouds.items()}
            say(f"Take {first} unless you know that yours is another.")
            cloud = choose("In which of its separate clouds is the organisation?", clouds, first)
            self.draft.put("cloud", cloud if cloud != first else None)

    def _name(self) -> None:
        addition = self.draft.addition
        usual = usual_name(str(self.draft.keys["address"]), addition.accounts())
        while True:
            if not addition.name:
                addition.name = ask("A name for the account", usual)
            try:
                addition.content()
            except ConfigError as error:
                refuse(error, "the name")
                addition.name = ""
            else:
                return

    def _grant(self) -> None:
        if self.draft.keys.get("authentication", "oauth") != "oauth":
            return
        while (wrong := self.draft.problem("grant")) or "grant" not in self.draft.keys:
            if wrong is not None and "grant" in self.draft.keys:
                refuse(wrong)
            grants = self.draft.grants()
            self.draft.put("grant", choose("How are tokens obtained?", grants, next(iter(grants))))

    def _place(self) -> None:
        """Where at the provider: what an account of this preset may, but need not say."""
        chosen, grant = self.draft.preset, self.draft.keys.get("grant", "")
        if "{tenant}" in chosen.token_url and grant in chosen.scopes and chosen.default_tenant:
            if grant in chosen.tenant_required_by:
                self._ask_for("tenant")
            else:
                self._optional("tenant", f"{_QUESTIONS['tenant']} (empty: {chosen.default_tenant})")
        if not chosen.servers:
            self._ask_for("servers")
            self._tls(chosen)
        if grant in chosen.grants and not chosen.scopes.get(grant) and grant not in ("static", "command"):
            self._optional("scopes", "Scopes to ask for, with blanks between them (empty: none)")

    def _tls(self, chosen: Preset) -> None:
        self.draft.complete()
        ports = {server.rpartition(":")[2] for server in self.draft.keys["servers"]}
        if "tls" in self.draft.keys or ports <= {"25", "465", "587"}:
            return
        ways = {
            "starttls": "begins plain, as on port 587",
            "implicit": "from the first octet, as on port 465",
        }
        self.draft.put("tls", choose("How is the connection protected?", ways, chosen.tls))

    def _rest(self) -> None:
        """Whatever the account still lacks, and whatever is wrong with it."""
        kind = self.draft.grant
        groups = {group[0]: group for group in kind.needs} if kind else {}
        while problems := self.draft.problems():
            found = {self.draft.key(each).split(".")[0]: each for each in problems}
            key = next((each for each in KEYS if each in found), "")
            if not key:
                raise problems[0]
            if key not in self.draft.keys:
                self._ask_for(self._one_of(groups.get(key, (key,))))
            else:
                refuse(found[key])
                self.draft.put(key, None)
                self._ask_for(key)
        proved = self.draft.keys.keys() & {"client-secret", *_FILES}
        if kind and kind.public and not proved:
            self._secret("client-secret", or_none=True)

    @staticmethod
    def _one_of(group: tuple[str, ...]) -> str:
        if len(group) == 1:
            return group[0]
        from postbearer.config import descriptions

        meanings = descriptions()
        return choose("What proves it?", {key: meanings[key] for key in group}, group[0])

    def _ask_for(self, key: str) -> None:
        """Ask for one key until its value will do; what was given by an option is looked at first."""
        while True:
            if key not in self.draft.keys:
                if key in _SECRETS:
                    self._secret(key)
                else:
                    self.draft.put(key, _value(key, ask(_QUESTIONS.get(key, key))))
            wrong = self._refused(key)
            if wrong is None:
                return
            refuse(wrong)
            self.draft.put(key, None)

    def _refused(self, key: str) -> ConfigError | None:
        if self.draft.name:
            return self.draft.problem(key)
        self.draft.addition.name = "new"  # it has no name before it has an address
        try:
            return self.draft.problem(key)
        finally:
            self.draft.addition.name = ""

    def _optional(self, key: str, question: str) -> None:
        while key not in self.draft.keys:
            text = ask(question, "")
            if not text:
                return
            self.draft.put(key, _value(key, text))
            if wrong := self.draft.problem(key):
                refuse(wrong)
                self.draft.put(key, None)

    # Secrets ---------------------------------------------------------------------------------

    def _secret(self, key: str, *, or_none: bool = False) -> None:
        """Ask where a secret is, until it is somewhere that can be named."""
        places = {name: told for name, told in _PLACES.items() if name != "sealed" or key not in _FILES}
        if or_none:
            places[_NONE] = "there is none: the app is a public client"
        usual = None if or_none else next(iter(places)) if key not in _FILES else "file"
        while key not in self.draft.keys:
            place = choose(f"Where is the {key.replace('-', ' ')}?", places, usual)
            if place == _NONE:
                return
            reference = self._sealed(key) if place == "sealed" else self._reference(key, place)
            if not reference:
                continue
            self.draft.put(key, reference)
            if wrong := self.draft.problem(key):
                refuse(wrong)
                self.draft.put(key, None)
            elif place in ("env", "file") and not self._readable(key, reference, place):
                self.draft.put(key, None)

    def _reference(self, key: str, place: str) -> str:
        if place == "other":
            return ask("Its reference, such as hashicorp-vault:path#field")
        if place == "env":
            usual = f"{self.draft.name}_{key}".upper().replace("-", "_")
            return f"env:{ask('Name of the variable', usual)}"
        if place == "file":
            return f"file:{os.path.abspath(os.path.expanduser(ask('Path of the file')))}"
        return f"command:{ask('The command')}"

    def _sealed(self, key: str) -> str:
        """Take a secret from the keyboard and seal it at once; empty if it should not be taken."""
        from postbearer.diagnosis import secret_doubts
        from postbearer.secrets import seal_reference
        from postbearer.state import KeyFile, StateFolder

        typed = Secret(click.prompt(key.replace("-", " ").capitalize(), hide_input=True, err=True).strip())
        for doubt in secret_doubts(key, typed, self.draft.preset.name):
            say(f"  {doubt}")
            if not ready("Take it all the same?", usual=False):
                return ""
        folder = StateFolder()
        folder.ensure()
        return seal_reference(KeyFile(folder).box(), typed)

    def _readable(self, key: str, reference: str, place: str) -> bool:
        """Whether the secret can be read now, or shall be taken although it cannot."""
        from pathlib import Path

        from postbearer.secrets import source
        from postbearer.state import StateFolder

        folder = Path(self.draft.addition.path).parent
        try:
            asyncio.run(source(reference, base=folder, state=StateFolder()).read())
        except SecretError as error:
            refuse(error)
            return ready("It cannot be read now. Take it all the same?", usual=place == "env")
        return True

    # The relay -------------------------------------------------------------------------------

    def _relay(self) -> None:
        addition = self.draft.addition
        if addition.has_relay() or self.relay is False:
            addition.listen = ""
            return
        if self.relay is None:
            self.relay = ready("Shall other programs send through it, by a relay here?", usual=False)
        while self.relay:
            addition.listen = addition.listen or ask("Where the relay listens", self.usual_listen)
            problems = self.draft.problems()
            if not problems:
                return
            refuse(problems[0])
            addition.listen = ""


def _rank(provider: str) -> int:
    """Where a provider stands in the list: what most have first, any other server last."""
    if provider == "smtp":
        return len(_USUAL) + 1
    return _USUAL.index(provider) if provider in _USUAL else len(_USUAL)


def _value(key: str, text: str) -> Any:
    return text.replace(",", " ").split() if key in _LISTS else text


def say(*lines: str) -> None:
    """Something to know, beside the questions."""
    for line in lines:
        click.echo(printable(line), err=True)


def _no(why: str, what_would: str) -> None:
    click.echo(f"  {style('✗', 'error', sys.stderr)} {printable(why)}", err=True)
    if what_would:
        say(f"    {what_would}")


def refuse(error: PostbearerError, what: str = "") -> None:
    """Why an answer will not do, and what would."""
    key = error.key if isinstance(error, ConfigError) else ""
    names = [part for part in key.split(".") if not part.isdecimal()]  # of servers.0: servers
    named = names[-1] if names else ""
    _no(" ".join(filter(None, (what or named, error.message))), error.hint)


def ask(question: str, usual: str | None = None) -> str:
    """One line; `usual` is what an empty one means, and without it an empty one is asked again."""
    answer: str = click.prompt(question, default=usual, show_default=bool(usual), err=True)
    return answer.strip()


def ready(question: str, *, usual: bool = True) -> bool:
    """Yes or no."""
    return click.confirm(question, default=usual, err=True)


def choose(question: str, choices: Mapping[str, str], usual: str | None = None) -> str:
    """One of `choices`, by its name or its number."""
    names, width = list(choices), max(map(len, choices))
    say(question)
    for number, (name, told) in enumerate(choices.items(), 1):
        say(f"  {number:2}  {name:{width}}  {told}".rstrip())
    while True:
        answer = ask("Name or number", usual).lower()
        if answer in choices:
            return answer
        if answer.isdecimal() and 1 <= int(answer) <= len(names):
            return names[int(answer) - 1]
        _no(f"{answer!r:.60} is none of these.", did_you_mean(answer, names))
