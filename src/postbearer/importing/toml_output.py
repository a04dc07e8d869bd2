"""A draft as TOML, with comments that say where things come from and what is left to do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from postbearer.importing.draft import AccountDraft, ImportedConfiguration, Remark


def render(draft: ImportedConfiguration) -> str:
    """The whole file."""
    parts = ["\n".join(_head(draft))]
    parts += [_table(f"secret-stores.{name}", keys) for name, keys in draft.stores.items()]
    parts += [
        f"{comment(_origin(each))}\n{_table(f'accounts.{each.name}', each.keys)}" for each in draft.accounts
    ]
    if draft.relay:
        parts += _relay(draft.relay)
    return "\n\n".join(parts) + "\n"


def comment(text: str) -> str:
    """`text` as one comment line: nothing in it can end the line or act on a terminal."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return f"# {shown}".rstrip()


def _origin(account: AccountDraft) -> str:
    return f"{account.title}: line {account.line}" if account.line else account.title


def _head(draft: ImportedConfiguration) -> Iterator[str]:
    yield comment(f"Made by: postbearer import {draft.program} {os.path.basename(draft.file)}")
    yield from _listed("Not carried over:", draft.left)
    yield from _listed("To look at:", draft.notes)
    if draft.to_set:
        yield "#"
        yield comment("To set in the environment before it is used:")
        for variable, meaning in draft.to_set.items():
            yield comment(f"- {variable}: {meaning}")
    if draft.spare:
        yield "#"
        yield comment("Secrets that no account uses:")
        for title, reference in draft.spare.items():
            yield comment(f"- {title}: {reference}")


def _listed(title: str, remarks: Sequence[Remark]) -> Iterator[str]:
    if not remarks:
        return
    yield "#"
    yield comment(title)
    for each in remarks:
        yield comment(f"- {f'line {each.line}: ' if each.line else ''}{each.message}")
        if each.hint:
            yield comment(f"  → {each.hint}")


def _relay(relay: Mapping[str, Any]) -> Iterator[str]:
    """``[relay]``, then its lists of tables."""
    lists = {key: value for key, value in relay.items() if isinstance(value, list) and _are_tables(value)}
    yield _table("relay", {key: value for key, value in relay.items() if key not in lists})
    for key, tables in lists.items():
        yield from (_table(f"[relay.{key}]", table) for table in tables)


def _are_tables(values: list[Any]) -> bool:
    return bool(values) and all(isinstance(each, dict) for each in values)


def _table(name: str, keys: Mapping[str, Any]) -> str:
    width = max(map(len, keys), default=0)
    return "\n".join([f"[{name}]", *(f"{key:<{width}} = {_value(value)}" for key, value in keys.items())])


def _value(value: Any) -> str:
    import tomlkit

    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update(value)
        return _visible(table.as_string())
    return _visible(tomlkit.item(value).as_string())


def _visible(text: str) -> str:
    """TOML with escapes for what a terminal might act on; tomlkit escapes only what it has to."""
    return "".join(char if char.isprintable() else f"\\U{ord(char):08X}" for char in text)
