"""Read the configuration: the file, what the environment overrides, and every check at once."""

from __future__ import annotations

import os
import re
import tomllib
from ast import literal_eval
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from msgspec import inspect as types

from postbearer.config.accounts import check_account, doubts, unknown_account
from postbearer.config.budget_checks import budget_doubts
from postbearer.config.client_checks import client_doubts
from postbearer.config.environment import loads, override, relevant
from postbearer.config.gateway import container_gateways, gateway_doubts
from postbearer.config.line_numbers import LineNumbers, Path, dotted
from postbearer.config.notify_checks import check_notify, notify_doubts
from postbearer.config.providers import Providers
from postbearer.config.schema import Settings
from postbearer.config.search import find, read
from postbearer.config.stores import check_store, store_doubts
from postbearer.config.validation import Problem, Validator, misplaced, plain
from postbearer.config.values import checks
from postbearer.config.webhook_checks import check_webhooks, webhook_doubts
from postbearer.errors import ConfigError, ConfigErrors
from postbearer.providers import Preset
from postbearer.settings import AccountSettings
from postbearer.suggestion import did_you_mean

SCHEMA: types.Type = types.type_info(Settings)
# Found in the schema, as to look through the keys of an account once more takes longer than to read a file.
_ACCOUNT = next(
    cast(types.StructType, plain(cast(types.DictType, plain(each.type)).value_type))
    for each in cast(types.StructType, SCHEMA).fields
    if each.name == "accounts"
)
_TUPLE = re.compile(r"\('[^()]*\)")  # how tomllib names a table
_CURLY = re.compile("[\u201c\u201d\u2018\u2019]")
_PLACE = re.compile(r" \(at line (\d+), column \d+\)| \(at end of document\)")


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration that passed every check, and where each of its keys stands."""

    settings: Settings
    path: str
    text: str = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)  # as written, with the environment's values put in
    origins: Mapping[Path, str] = field(default_factory=dict)  # path → environment variable
    providers: Providers = field(default_factory=Providers, repr=False)  # also one's own, beside the file

    def account(self, name: str) -> AccountSettings:
        """The account called `name`. Raises `ConfigError` that lists the others."""
        try:
            return self.settings.accounts[name]
        except KeyError:
            known = sorted(self.settings.accounts)
            hint = did_you_mean(name, known) or f"Add a table [accounts.{name}]."
            raise ConfigError(f"There is no account {name!r}.", file=self.path, hint=hint) from None

    def usual_account(self, sender: str = "") -> str | None:
        """The account of mail that names none; None if nothing says which of several.

        It is the relay's, else the one whose address sends, else the only one. Raises `ConfigError` where
        there is none at all.
        """
        accounts, relay = self.settings.accounts, self.settings.relay
        if not accounts:
            raise ConfigError(
                "There is no account.",
                file=self.path,
                hint="Add one: postbearer init, or a table [accounts.NAME].",
            )
        if relay is not None and relay.account:
            return relay.account
        fitting = [name for name, each in accounts.items() if each.address.lower() == sender.lower()]
        return next((found[0] for found in (fitting, [*accounts]) if len(found) == 1), None)

    def preset(self, account: AccountSettings) -> Preset:
        """The provider of `account`, in its cloud. Raises `ConfigError`."""
        return self.providers.preset(account.provider, account.cloud or "")

    def warnings(self) -> tuple[ConfigError, ...]:
        """What works but should be looked at, with its place."""
        accounts = self.settings.accounts.items()
        folder = os.path.dirname(os.path.abspath(self.path))
        found = [
            problem for name, account in accounts for problem in doubts(name, account, folder, self.providers)
        ]
        found += budget_doubts(self.settings.accounts, self.providers)
        for name, table in self.settings.secret_stores.items():
            found += store_doubts(name, table)
        found += [
            Problem(("vault",), "is read with a spool on PostgreSQL only", "Take it out, or name one.")
            for _ in self.data.get("vault", ())
            if not ((relay := self.settings.relay) and relay.spool and relay.spool.startswith("postgres"))
        ]
        found += self._client_doubts()
        found += notify_doubts(self.settings.notify, self.settings.accounts)
        clients = self.settings.relay.clients if self.settings.relay is not None else ()
        found += webhook_doubts(self.settings.webhooks, clients)
        told = [self.error(problem.path, problem.message, hint=problem.hint) for problem in found]
        return (*told, *self.providers.warnings())

    def client_warnings(self) -> tuple[ConfigError, ...]:
        """Those of `warnings` that say of clients that others are let in, or kept out, than may be meant."""
        found = self._client_doubts()
        return tuple(self.error(problem.path, problem.message, hint=problem.hint) for problem in found)

    def _client_doubts(self) -> list[Problem]:
        relay = self.settings.relay
        if relay is None:
            return []
        return [*client_doubts(relay.clients), *gateway_doubts(relay, container_gateways())]

    def error(self, key: str | Path, message: str, *, hint: str = "") -> ConfigError:
        """A `ConfigError` about a key, with its place: for what only turns out when the key is used."""
        path: Path = tuple(key.split(".")) if isinstance(key, str) else key
        return _Places(self.path, self.text, self.origins).error(Problem(path, message, hint))

    def located(self, error: ConfigError) -> ConfigError:
        """The same with the place of its key."""
        return self.error(error.key, error.message, hint=error.hint)


def load(
    path: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None
) -> Configuration:
    """The configuration in the file named, or in the first that is found.

    Raises `ConfigError`; `ConfigErrors` when there is more than one thing wrong.
    """
    environ = os.environ if environ is None else environ
    place = find(os.fspath(path) if path is not None else None, environ)
    return parse(read(place), place, environ)


def parse(content: bytes, path: str, environ: Mapping[str, str] | None = None) -> Configuration:
    """The configuration in `content`; `path` is what errors call it."""
    text, data = toml(content, path)
    origins, errors = override(data, SCHEMA, relevant(environ or {}))
    stores = data.get("secret-stores")
    walk = Validator(checks(stores if isinstance(stores, dict) else ()))
    clean = walk.value(data, SCHEMA, ())
    providers = Providers(path)
    walk.problems.extend(_whole(data, clean, providers))
    places = _Places(path, text, origins)
    errors += [places.error(problem) for problem in _once(walk.problems)]
    if len(errors) > 1:
        raise ConfigErrors(sorted(errors, key=lambda error: (error.file, error.line or 0)))
    if errors:
        raise errors[0]
    return Configuration(msgspec.convert(clean, Settings), path, text, data, origins, providers)


def toml(content: bytes, path: str) -> tuple[str, dict[str, Any]]:
    """The text of `content` and what stands in it, unchecked. Raises `ConfigError` for what is no TOML."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError("The file is not UTF-8.", file=path, line=line, hint="Save it as UTF-8.") from None
    try:
        return text, loads(text)
    except tomllib.TOMLDecodeError as error:
        said = _TUPLE.sub(lambda found: f"[{dotted(literal_eval(found[0]))}]", str(error))
        found = _PLACE.search(said)
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        raise ConfigError(
            f"This is not TOML: {_PLACE.sub('', said)}.",
            file=path,
            line=line,
            hint=_toml_hint(said, text),
        ) from None


def _toml_hint(said: str, text: str) -> str:
    if text.lstrip().startswith("{"):
        return "This looks like JSON. A table of TOML begins with its name: [accounts.NAME]."
    if _CURLY.search(text):
        return 'Quotes are straight in TOML, not curly: key = "value".'
    if text.lstrip("-").lstrip().startswith("accounts:"):
        return "This looks like YAML. A table of TOML begins with its name: [accounts.NAME]."
    if said.startswith("Cannot "):
        return "Each key, and each table, may stand there once."
    if "nested" in said:
        return "Look for a bracket that is not closed."
    return 'Texts stand in quotes: key = "value".'


@dataclass(frozen=True, slots=True)
class _Places:
    """Turns problems, which know a path, into errors, which know a place."""

    file: str
    text: str
    origins: Mapping[Path, str]

    def error(self, problem: Problem) -> ConfigError:
        for length in range(len(problem.path), 0, -1):
            if variable := self.origins.get(problem.path[:length]):
                file, line = f"environment variable {variable}", None
                break
        else:
            file, line = self.file, LineNumbers(self.text).of(problem.path)
        message = problem.message if problem.message.endswith(".") else f"{problem.message}."
        return ConfigError(message, key=dotted(problem.path), file=file, line=line, hint=problem.hint)


def _whole(data: Mapping[str, Any], clean: Mapping[str, Any], providers: Providers) -> Iterator[Problem]:
    """Checks across keys; where a table is no table, the walk has said so already."""
    accounts = data.get("accounts", {})
    accounts = accounts if isinstance(accounts, dict) else {}
    for name, account in accounts.items():
        if isinstance(account, dict) and not misplaced(account, _ACCOUNT):
            yield from check_account(name, _with_meant(account), accounts, providers)
    stores = data.get("secret-stores", {})
    for name, store in stores.items() if isinstance(stores, dict) else ():
        if isinstance(store, dict):
            yield from check_store(name, store)
    notify = data.get("notify")
    yield from check_notify(notify, accounts) if isinstance(notify, dict) else ()
    webhooks = data.get("webhooks")
    yield from check_webhooks(webhooks) if isinstance(webhooks, list) else ()
    for path, named in account_references(clean):
        if isinstance(named, str) and named not in accounts and not _with_dot(named, accounts):
            yield unknown_account(path, named, accounts)


def _with_dot(named: str, accounts: Mapping[str, Any]) -> bool:
    """Whether `named` is an account whose table was told already, for the dot in its name."""
    first = accounts.get(named.partition(".")[0])
    return "." in named and isinstance(first, dict) and misplaced(first, _ACCOUNT)


def _with_meant(account: Mapping[str, Any]) -> dict[str, Any]:
    """The account with misspelt keys under the names that were meant: one slip is reported once."""
    known = AccountSettings.__struct_encode_fields__
    if all(key in known for key in account):
        return dict(account)
    meant = {f"Did you mean {name}?": name for name in known}
    return {
        key if key in known else meant.get(did_you_mean(key, known), key): account[key] for key in account
    }


def account_references(clean: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Where the tables beside accounts name one, and which."""
    relay, notify = clean.get("relay"), clean.get("notify")
    for section, table in (("relay", relay), ("notify", notify)):
        if isinstance(table, dict) and "account" in table:
            yield (section, "account"), table["account"]
    for section in ("clients", "routes"):
        entries = relay.get(section) if isinstance(relay, dict) else None
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict) and "account" in entry:
                yield ("relay", section, index, "account"), entry["account"]
    webhooks = clean.get("webhooks")
    for index, entry in enumerate(webhooks if isinstance(webhooks, list) else ()):
        accounts = entry.get("accounts") if isinstance(entry, dict) else None
        for place, named in enumerate(accounts if isinstance(accounts, list) else ()):
            yield ("webhooks", index, "accounts", place), named


def _once(problems: list[Problem]) -> list[Problem]:
    """One problem a key: the first, which is the nearest to what was written."""
    first: dict[Path, Problem] = {}
    for problem in problems:
        first.setdefault(problem.path, problem)
    return list(first.values())
