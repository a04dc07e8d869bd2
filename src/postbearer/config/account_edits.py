"""An account of a file that is there: its keys changed, renamed, or taken away, and nothing else touched.

Whatever form the file is written in, what comes out is compared with what was meant.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from copy import deepcopy
from typing import Any

from postbearer.config.edit import changed_document
from postbearer.config.loading import account_references
from postbearer.errors import ConfigError

_BY_HAND = "Change the file by hand: it is written in a form that is not understood here."


def with_keys(before: bytes, name: str, changes: Mapping[str, Any]) -> bytes:
    """The file with other values of some keys of the account `name`; None takes a key away.

    Raises `ConfigError` where the file's form does not allow it.
    """

    def change(data: MutableMapping[str, Any]) -> None:
        table = data["accounts"][name]
        for key, value in changes.items():
            if value is None:
                table.pop(key, None)
            elif isinstance(value, Mapping) and isinstance(table.get(key), MutableMapping):
                _put(table[key], value)
            else:
                table[key] = value

    return _edited(before, name, change)


def _put(table: MutableMapping[str, Any], value: Mapping[str, Any]) -> None:
    """Have `table` hold `value`, and touch nothing that is as it was."""
    for key in [each for each in table if each not in value]:
        del table[key]
    for key, each in value.items():
        if key not in table or not _same(table[key], each):
            table[key] = each


def without_account(before: bytes, name: str) -> bytes:
    """The file without the account `name`. What refers to it stays, and is for who checks the file."""

    def change(data: MutableMapping[str, Any]) -> None:
        del data["accounts"][name]

    return _edited(before, name, change)


def renamed(before: bytes, name: str, to: str) -> bytes:
    """The file with the account `name` called `to`, also wherever it is referred to."""

    def refer(data: MutableMapping[str, Any]) -> None:
        for holder, key in _references(data):
            if holder[key] == name:
                holder[key] = to

    def change(data: MutableMapping[str, Any]) -> None:
        refer(data)
        data["accounts"] = {to if each == name else each: table for each, table in data["accounts"].items()}

    header = re.compile(
        rf"""^(\s*\[\s*(?:accounts|"accounts")\s*\.\s*)(["']?){re.escape(name)}\2(\s*[.\]])""", re.M
    )
    after = header.sub(rf"\g<1>{to}\g<3>", changed_document(before, refer).decode()).encode()
    return _as_meant(before, after, change, name)


def _edited(before: bytes, name: str, change: Callable[[MutableMapping[str, Any]], None]) -> bytes:
    return _as_meant(before, changed_document(before, change), change, name)


def _as_meant(
    before: bytes, after: bytes, change: Callable[[MutableMapping[str, Any]], None], name: str
) -> bytes:
    meant = deepcopy(tomllib.loads(before.decode()))
    change(meant)
    if not meant["accounts"]:
        del meant["accounts"]
    try:
        found = tomllib.loads(after.decode())
    except tomllib.TOMLDecodeError:
        found = {}
    if not found.get("accounts", True):
        del found["accounts"]
    if not _same(found, meant):
        raise ConfigError("cannot be changed here.", key=f"accounts.{name}", hint=_BY_HAND)
    return after


def _same(one: Any, other: Any) -> bool:
    """Whether two values stand in a file as the same: 1 is not true, and nan is nan."""
    texts = [json.dumps(each, sort_keys=True, default=str) for each in (one, other)]
    return texts[0] == texts[1]


def _references(data: MutableMapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Where accounts are named by others: what holds the name, and under which key."""
    for path, _ in list(account_references(data)):
        holder: Any = data
        for part in path[:-1]:
            holder = holder[part]
        yield holder, path[-1]
    for account in data["accounts"].values():
        yield from ((account, key) for key in ("fallback", "overflow") if key in account)
