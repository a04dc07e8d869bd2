"""Keys given by the environment: ``POSTBEARER_ACCOUNTS__ALERTS__CLIENT_ID``.

Names go in upper case with ``_`` for ``-``; ``__`` goes one level down. A value is read as TOML, and
as a text if it is none or if a text is what belongs there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import inspect as types

from postbearer.config.line_numbers import Path
from postbearer.config.validation import plain
from postbearer.errors import ConfigError
from postbearer.suggestion import did_you_mean

DEEPEST = 32  # levels of tables and lists; the schema has five
PREFIX = "POSTBEARER_"


def override(
    data: dict[str, Any], schema: types.Type, environ: Mapping[str, str]
) -> tuple[dict[Path, str], list[ConfigError]]:
    """Put the environment's values into `data`; return which variable set which path, and what is wrong."""
    origins: dict[Path, str] = {}
    errors: list[ConfigError] = []
    for variable in sorted(environ):
        if not _is_override(variable, schema):
            continue
        try:
            path, expected = _resolve(variable, data, schema)
            _put(data, path, read_value(environ[variable], expected))
        except ConfigError as error:
            errors.append(error)
        else:
            origins[path] = variable
    return origins, errors


def relevant(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that could change the configuration."""
    return {name: value for name, value in environ.items() if name.startswith(PREFIX)}


def loads(text: str) -> dict[str, Any]:
    """What stands in a TOML text. Raises `tomllib.TOMLDecodeError`, also for what only Python cannot read."""
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise tomllib.TOMLDecodeError("Tables and lists are nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # `int` takes so many digits and no more
        raise tomllib.TOMLDecodeError("A number has too many digits") from None
    level: list[Any] = [data]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return data
    raise tomllib.TOMLDecodeError("Tables and lists are nested too deeply")


def read_value(text: str, expected: types.Type) -> Any:
    """A value given as text, on the command line or by the environment."""
    try:
        parsed = loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    if parsed.keys() != {"value"}:
        return text
    value = parsed["value"]
    texts = (types.StrType, types.LiteralType)
    if isinstance(plain(expected), texts) and not isinstance(value, str):
        return text  # a client id of digits only is still a text
    return value


def type_at(schema: types.Type, path: Path) -> types.Type:
    """The type of the key at `path`. Raises `KeyError` with the part that is not known."""
    for part in path:
        schema = plain(schema)
        if isinstance(schema, types.StructType):
            known = {field.encode_name: field.type for field in schema.fields}
            if part not in known:
                raise KeyError(part, tuple(known))
            schema = known[str(part)]
        elif isinstance(schema, types.DictType):
            schema = schema.value_type
        elif isinstance(schema, types.VarTupleType | types.ListType) and isinstance(part, int):
            schema = schema.item_type
        elif isinstance(schema, types.AnyType):
            return schema
        else:
            raise KeyError(part, ())
    return schema


def _is_override(variable: str, schema: types.Type) -> bool:
    if not variable.startswith(PREFIX):
        return False
    rest = variable[len(PREFIX) :]
    if "__" in rest:
        return True
    return isinstance(schema, types.StructType) and rest in map(_spelling, _fields(schema))


def _resolve(variable: str, data: Any, schema: types.Type) -> tuple[Path, types.Type]:
    path: Path = ()
    for segment in variable[len(PREFIX) :].split("__"):
        schema = plain(schema)
        part: str | int
        if isinstance(schema, types.StructType):
            part = _field(variable, segment, schema)
        elif isinstance(schema, types.DictType | types.AnyType) and segment:
            part = _entry(variable, segment, data, blank="-" if _of_settings(schema) else "_")
        elif isinstance(schema, types.VarTupleType | types.ListType) and segment.isdecimal():
            part = int(segment)
            if not isinstance(data, list) or part >= len(data):
                raise _error(variable, path, f"has no element {part} in the file to override")
        else:
            raise _error(variable, path, "has nothing below it", "Take the last part away.")
        path = (*path, part)
        schema = type_at(schema, (part,))
        data = _below(data, part)
    return path, schema


def _field(variable: str, segment: str, schema: types.StructType) -> str:
    spellings = {_spelling(name): name for name in _fields(schema)}
    if segment not in spellings:
        raise _error(variable, (), "does not name a known key", did_you_mean(segment, spellings.values()))
    return spellings[segment]


def _entry(variable: str, segment: str, data: Any, blank: str = "_") -> str:
    """The key of a free table: one that is there, else a new one in lower case."""
    there = [key for key in data if _spelling(key) == segment] if isinstance(data, dict) else []
    if len(there) > 1:
        raise _error(variable, (), f"could mean {' or '.join(there)}", "Rename one of them.")
    return there[0] if there else segment.lower().replace("_", blank)


def _of_settings(schema: types.Type) -> bool:
    """Whether this is the table of a secret store, whose keys are ours, and not a table of free names."""
    return isinstance(schema, types.DictType) and isinstance(schema.value_type, types.AnyType)


def _put(data: dict[str, Any], path: Path, value: Any) -> None:
    target: Any = data
    for part in path[:-1]:
        if isinstance(target, dict):
            target = target.setdefault(part, {})
        elif isinstance(target, list) and isinstance(part, int):
            target = target[part]
    match target, path[-1]:
        case dict(), key:
            target[key] = value
        case list(), int(index):
            target[index] = value
        case _:
            pass  # the file has a value where a table belongs, which is reported as what it is


def _below(data: Any, part: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(part)
    return data[part] if isinstance(data, list) and isinstance(part, int) else None


def _fields(schema: types.StructType) -> Iterator[str]:
    return (field.encode_name for field in schema.fields)


def _spelling(key: str) -> str:
    return key.upper().replace("-", "_")


def _error(variable: str, path: Path, message: str, hint: str = "") -> ConfigError:
    return ConfigError(f"{message}.", file=f"environment variable {variable}", hint=hint)
