"""A configuration key by key: what holds, what it means, and whether somebody set it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from msgspec import inspect

from postbearer.config.schema import Settings
from postbearer.config.showing import blanked, with_defaults


class ExplainedKey(NamedTuple):
    """A key of the file: `value` without secrets, `given` whether the file or the environment has it."""

    table: str
    key: str
    value: Any
    meaning: str
    given: bool


def explained(settings: Settings, data: Mapping[str, Any]) -> Iterator[ExplainedKey]:
    """All keys that have a value, table by table. `data` is what was given, as it was written."""
    yield from _table(inspect.type_info(Settings), with_defaults(settings), data, "")


def _table(kind: inspect.Type, holds: Mapping[str, Any], given: Any, path: str) -> Iterator[ExplainedKey]:
    """The keys of a table, then the tables within it."""
    assert isinstance(kind, inspect.StructType)
    given = given if isinstance(given, Mapping) else {}
    within: list[Iterator[ExplainedKey]] = []
    for each in kind.fields:
        name, meaning = each.encode_name, _meaning(each.type)
        if name not in holds:
            continue
        place, value, written = f"{path}.{name}".lstrip("."), holds[name], given.get(name)
        if (inner := _struct(each.type)) is None:
            shown = value if written is None else written
            if shown not in ({}, [], ()):
                yield ExplainedKey(path, name, blanked(shown, name), meaning, name in given)
            continue
        tables = [(place, value, written)]
        if isinstance(value, list | tuple):
            more = written if isinstance(written, list | tuple) else [None] * len(value)
            tables = [(f"{place}[{n}]", *pair) for n, pair in enumerate(zip(value, more, strict=True))]
        elif not isinstance(_bare(each.type), inspect.StructType):
            named = written if isinstance(written, Mapping) else {}
            tables = [(f"{place}.{key}", one, named.get(key)) for key, one in value.items()]
        within += [_table(inner, one, text, at) for at, one, text in tables]
    for keys in within:
        yield from keys


def _meaning(kind: inspect.Type) -> str:
    if not isinstance(kind, inspect.Metadata):
        return ""
    return str((kind.extra_json_schema or {}).get("description", ""))


def _bare(kind: inspect.Type) -> inspect.Type:
    """The type without marks, and without the None beside it."""
    while True:
        if isinstance(kind, inspect.Metadata):
            kind = kind.type
        elif isinstance(kind, inspect.UnionType):
            found = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
            if len(found) != 1:
                return kind
            [kind] = found
        else:
            return kind


def _struct(kind: inspect.Type) -> inspect.StructType | None:
    """The table, if it is one, or a list or a mapping of tables."""
    bare = _bare(kind)
    if isinstance(bare, inspect.VarTupleType):
        bare = _bare(bare.item_type)
    elif isinstance(bare, inspect.DictType):
        bare = _bare(bare.value_type)
    return bare if isinstance(bare, inspect.StructType) else None
