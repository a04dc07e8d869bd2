"""The keys of an account as they are declared, for who asks for their values: kind, meaning, choices."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, NamedTuple

from msgspec import inspect as types

from postbearer.config.validation import kind_of, plain
from postbearer.oauth import grant_names
from postbearer.settings import AccountSettings, Kind

Unit = Literal["seconds", "octets", ""]
Entry = Literal["text", "choice", "account", "list", "number", "day", "secret", "table"]
_UNITS: dict[Kind | None, Unit] = {"duration": "seconds", "time-span": "seconds", "size": "octets"}
_ENTRIES: dict[Kind | None, Entry] = {"secret": "secret", "account": "account"}


class AccountKey(NamedTuple):
    """One key, in dots below the account. `entry`: how its value is given; `examples` show how it is written.

    A number is of `unit`. `choices` are all that a value, or each of a list, can be; empty: whatever fits.
    """

    key: str
    meaning: str
    entry: Entry
    unit: Unit
    choices: tuple[str, ...]
    examples: tuple[str, ...]


@cache
def account_keys() -> tuple[AccountKey, ...]:
    """All there are, in the order of their declaration."""
    return tuple(_keys(types.type_info(AccountSettings), ""))


def _keys(table: types.Type, head: str) -> Iterator[AccountKey]:
    assert isinstance(table, types.StructType)
    for each in table.fields:
        key, expected = f"{head}{each.encode_name}", plain(each.type)
        if isinstance(expected, types.StructType):
            yield from _keys(expected, f"{key}.")
            continue
        notes = list(_notes(each.type))
        meaning = next((note["description"] for note in notes if "description" in note), "")
        examples: tuple[str, ...] = next(
            (tuple(note["examples"]) for note in notes if "examples" in note), ()
        )
        kind = kind_of(each.type)
        entry, unit = _ENTRIES.get(kind) or _entry(expected), _UNITS.get(kind, "")
        yield AccountKey(key, meaning, entry, unit, _choices(each.type), tuple(examples))


def _entry(expected: types.Type) -> Entry:
    match expected:
        case types.LiteralType():
            return "choice"
        case types.VarTupleType():
            return "list"
        case types.DateType():
            return "day"
        case types.DictType():
            return "table"
        case types.IntType() | types.FloatType():
            return "number"
        case _:
            return "text"


def _choices(kind: types.Type) -> tuple[str, ...]:
    if kind_of(kind) == "grant":
        return tuple(grant_names())
    expected = plain(kind)
    if isinstance(expected, types.VarTupleType):
        expected = plain(expected.item_type)
    return tuple(map(str, expected.values)) if isinstance(expected, types.LiteralType) else ()


def _notes(kind: types.Type) -> Iterator[dict[str, Any]]:
    """What is said beside a type, the outermost first, also beside that of the items of a list."""
    if isinstance(kind, types.Metadata):
        if kind.extra_json_schema:
            yield kind.extra_json_schema
        yield from _notes(kind.type)
    elif isinstance(kind, types.UnionType):
        for each in kind.types:
            yield from _notes(each)
    elif isinstance(kind, types.VarTupleType):
        yield from _notes(kind.item_type)
