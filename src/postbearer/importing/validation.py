"""From a draft to a configuration that our own loader takes: an account it refuses is left out, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from postbearer.config import Configuration, parse, typed_value
from postbearer.errors import ConfigError, ConfigErrors, UsageError
from postbearer.importing.draft import AccountDraft, ImportedConfiguration, Remark
from postbearer.importing.toml_output import render

_NEIGHBOURS = ("fallback", "overflow")


@dataclass(frozen=True, slots=True)
class Imported:
    """A configuration, and what a person has to know about it."""

    text: str
    accounts: tuple[str, ...]
    left: tuple[Remark, ...]  # not carried over
    notes: tuple[Remark, ...]  # carried over, to be looked at
    to_set: dict[str, str]  # environment variable → what it is


def finish(draft: ImportedConfiguration) -> Imported:
    """The configuration. Raises `ConfigError`, with places in the source, if no account can be used."""
    refused: list[ConfigError] = []
    for account in list(draft.accounts):
        if problems := _problems(draft, account):
            _drop(draft, account)
            refused += problems
            for each in problems:
                draft.leave(f"{account.title} is left out: {each.key}: {each.message}", each.hint, each.line)
    if not draft.accounts:
        raise _nothing(draft, refused)
    _say_what_is_open(draft)
    draft.left.sort(key=lambda each: each.line or 0)
    configuration = _parsed(draft)
    lines = {each.name: each.lines for each in draft.accounts}
    for warning in configuration.warnings():
        table, _, rest = warning.key.partition(".")
        name, _, key = rest.partition(".")
        line = lines.get(name, {}).get(key.split(".")[0]) if table == "accounts" else None
        draft.note(f"{warning.key} {warning.message}", warning.hint, line)
    names = tuple(each.name for each in draft.accounts)
    return Imported(render(draft), names, tuple(draft.left), tuple(draft.notes), dict(draft.to_set))


def parse_settings(given: Sequence[str]) -> dict[str, str]:
    """What ``--set KEY=VALUE`` says, each. Raises `UsageError`."""
    found: dict[str, str] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise UsageError(f"--set: {each!r:.60} is not KEY=VALUE.", hint="Write --set client-id=VALUE.")
        found[key.strip()] = value.strip()
    return found


def settle(draft: ImportedConfiguration, given: Mapping[str, str]) -> None:
    """Put in what a person gives: a key for every account, or ``NAME.key`` for one.

    Raises `ConfigError` for a key that accounts do not have, or a value that it cannot have.
    """
    for place, value in given.items():
        name, _, rest = place.partition(".")
        one = [account for account in draft.accounts if rest and account.name == name]
        key = rest if one else place
        typed = typed_value(f"accounts.NAME.{key}", value)
        first, _, inner = key.partition(".")
        for account in one or draft.accounts:
            there = account.keys.get(first)
            table = {**(there if isinstance(there, dict) else {}), inner: typed}
            account.put(first, table if inner else typed)


def _parsed(draft: ImportedConfiguration) -> Configuration:
    """The whole, with the relay. Raises `ConfigError` at the place in the source, as far as that is known."""
    try:
        return parse(render(draft).encode(), draft.file, {})
    except ConfigError as error:
        placed = [in_source(draft, each) for each in error.problems]
        raise placed[0] if len(placed) == 1 else ConfigErrors(placed) from None


def in_source(draft: ImportedConfiguration, error: ConfigError) -> ConfigError:
    """The error with the line of the source that its key comes from, in place of one of what was made."""
    table, _, rest = error.key.partition(".")
    line = draft.relay_lines.get(rest.split(".")[0].split("[")[0]) if table == "relay" else None
    return ConfigError(error.message, key=error.key, file=draft.file, line=line, hint=error.hint)


def _problems(draft: ImportedConfiguration, account: AccountDraft) -> list[ConfigError]:
    """What our loader has against one account, told at the place in the source."""
    alone = {key: value for key, value in account.keys.items() if key not in (*_NEIGHBOURS, "fallback-when")}
    text = render(
        ImportedConfiguration(
            draft.file, draft.program, accounts=[replace(account, keys=alone)], stores=draft.stores
        )
    )
    try:
        parse(text.encode(), draft.file, {})
    except ConfigError as error:
        return [_placed(draft, account, each) for each in error.problems]
    return []


def _placed(draft: ImportedConfiguration, account: AccountDraft, error: ConfigError) -> ConfigError:
    key = error.key.removeprefix(f"accounts.{account.name}.")
    line = account.lines.get(key.split(".")[0], account.line)
    missing = key and key not in account.keys
    hint = f"{error.hint} Or import again with --set {key}=…" if missing else error.hint
    return ConfigError(error.message, key=key, file=draft.file, line=line or None, hint=hint.strip())


_OPEN = re.compile(r"\$\{[^}]*\}|\{\{.*?\}\}|\$[A-Z_][A-Z0-9_]*|<[A-Za-z][\w .-]*>|%[A-Z_]+%|@[A-Z_]+@")


def _say_what_is_open(draft: ImportedConfiguration) -> None:
    """Name what looks as if something was to be put in its place: nothing is, neither here nor later."""
    for account in draft.accounts:
        for key, value in account.keys.items():
            texts = value if isinstance(value, list) else [value]
            shell = key == "command" or str(value).startswith(("command:", "sealed:"))
            if found := not shell and next((m for text in texts if (m := _OPEN.search(str(text)))), None):
                draft.leave(
                    f"{key} of {account.title} has {found[0]} in it, which is taken as it stands.",
                    f"Put the value in its place, or import again with --set {key}=VALUE.",
                    account.lines.get(key),
                )


def _drop(draft: ImportedConfiguration, account: AccountDraft) -> None:
    """Take an account away; who would have turned to it turns to whom it would have turned to."""
    draft.accounts.remove(account)
    for key, tables in list(draft.relay.items()):
        if isinstance(tables, list) and isinstance(tables[0], dict):
            draft.relay[key] = [each for each in tables if each.get("account") != account.name]
            if not draft.relay[key]:
                del draft.relay[key]
    for table in (draft.relay, *(each.keys for each in draft.accounts)):
        for key in ("account", *_NEIGHBOURS):
            if table.get(key) == account.name:
                del table[key]
                if key in account.keys:
                    table[key] = account.keys[key]
        if "fallback" not in table:
            table.pop("fallback-when", None)
    if "account" not in draft.relay and draft.relay and draft.accounts:
        draft.relay["account"] = draft.accounts[0].name
    for variable in [each for each, what in draft.to_set.items() if what.endswith(f" of {account.title}")]:
        del draft.to_set[variable]


def _nothing(draft: ImportedConfiguration, refused: list[ConfigError]) -> ConfigError:
    """The error that says why there is no account at all."""
    if not refused:
        refused = [
            ConfigError(each.message, file=draft.file, line=each.line, hint=each.hint) for each in draft.left
        ]
    if not refused:
        return draft.error("There is no account in this file.", "Check that it is the right file.")
    return refused[0] if len(refused) == 1 else ConfigErrors(refused)
