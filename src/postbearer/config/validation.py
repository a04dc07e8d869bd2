"""Check values against the types of the schema, and report everything that is wrong at once.

`msgspec.convert` stops at the first error and knows nothing of durations or secret references, so the
walk goes first, names every problem with its path, and leaves a value that converts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from msgspec import inspect as types

from postbearer.config import units
from postbearer.config.line_numbers import Path, dotted
from postbearer.settings import Kind
from postbearer.suggestion import did_you_mean


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, at a path; `message` continues the name of the key."""

    path: Path
    message: str
    hint: str = ""


@dataclass(slots=True)
class Validator:
    """One pass over the data. `kinds` checks what a type alone does not say of a text."""

    kinds: Mapping[Kind, Callable[[str], tuple[str, str] | None]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def value(self, value: Any, expected: types.Type, path: Path) -> Any:
        """`value` made fit for `msgspec.convert`; what is wrong is added to `problems`."""
        kind = kind_of(expected)
        expected = plain(expected)
        if kind == "duration":
            return self._unit(value, path, units.parse_duration, units.DURATION_HINT)
        if kind == "time-span":
            return self._unit(value, path, units.parse_time_span, units.DURATION_HINT)
        if kind == "size":
            return self._unit(value, path, units.parse_size, units.SIZE_HINT)
        if isinstance(expected, types.StructType):
            return self._table(value, expected, path)
        if isinstance(expected, types.DictType):
            return self._entries(value, expected, path)
        if isinstance(expected, types.VarTupleType | types.ListType):
            if not isinstance(value, list):
                tables = isinstance(plain(expected.item_type), types.StructType)
                hint = f"Write [[{dotted(path)}]] above it." if tables else "Write it in brackets: [ … ]."
                return self._wrong(path, "must be a list", value, hint)
            return [self.value(each, expected.item_type, (*path, index)) for index, each in enumerate(value)]
        if isinstance(expected, types.UnionType):
            return self._union(value, expected, path)
        return self._scalar(value, expected, kind, path)

    def _entries(self, value: Any, expected: types.DictType, path: Path) -> Any:
        """A table whose keys are names; each slip with such a table is told once, as what it is."""
        inner = plain(expected.value_type)
        named = isinstance(inner, types.StructType | types.DictType)  # the keys are names of tables
        hint = f"Write [{dotted(path)}{'.NAME' if named else ''}], and the keys below it."
        if not isinstance(value, dict):
            return self._wrong(path, "must be a table", value, hint)
        known = {each.encode_name for each in inner.fields} if isinstance(inner, types.StructType) else None
        flat = [
            key
            for key, each in value.items()
            if named and not isinstance(each, dict) and (known is None or key in known)
        ]
        if flat:
            told = f"has {', '.join(flat)} itself, which belong below a name"
            self.problems.append(Problem(path, told, hint))
            return {}
        kept = {}
        for key, each in value.items():
            if isinstance(inner, types.StructType) and misplaced(each, inner):
                name = f"{key}.{next(iter(each))}"
                meant = f"[{dotted((*path, name.replace('.', '-')))}]"
                hint = f"A dot begins a table within a table: write {meant}."
                self.problems.append(Problem((*path, key), f"cannot be called {name}", hint))
            else:
                kept[key] = self.value(each, expected.value_type, (*path, key))
        return kept

    def _table(self, value: Any, expected: types.StructType, path: Path) -> Any:
        if not isinstance(value, dict):
            first = next(each.encode_name for each in expected.fields)
            hint = f"Write [{dotted(path)}] with keys below it, or {path[-1]} = {{ {first} = … }}."
            return self._wrong(path, "must be a table", value, hint)
        known = {each.encode_name: each for each in expected.fields}
        kept = {}
        for key, each in value.items():
            if key in known:
                kept[key] = self.value(each, known[key].type, (*path, key))
            else:
                self.problems.append(Problem((*path, key), "is not a known key", did_you_mean(key, known)))
        for name, each_field in known.items():
            if each_field.required and name not in value and not _misspelt(name, value, known):
                self.problems.append(Problem((*path, name), "is missing", f"Add {name} = …"))
        return kept

    def _union(self, value: Any, expected: types.UnionType, path: Path) -> Any:
        for alternative in expected.types:
            listed = isinstance(value, list) and isinstance(plain(alternative), types.VarTupleType)
            if listed or (
                isinstance(value, str if kind_of(alternative) else dict) and _is_precise(alternative)
            ):
                return self.value(value, alternative, path)  # its own complaint says more than ours
            attempt = Validator(self.kinds)
            result = attempt.value(value, alternative, path)
            if not attempt.problems:
                return result
        return self._wrong(path, f"must be {' or '.join(_word(each) for each in expected.types)}", value)

    def _scalar(self, value: Any, expected: types.Type, kind: Kind | None, path: Path) -> Any:
        match expected:
            case types.AnyType():
                return value
            case types.DateType():
                return self._day(value, path)
            case types.BoolType() if not isinstance(value, bool):
                return self._wrong(path, "must be true or false", value)
            case types.IntType() if not isinstance(value, int) or isinstance(value, bool):
                return self._wrong(path, "must be a whole number", value)
            case types.FloatType() if not isinstance(value, int | float) or isinstance(value, bool):
                return self._wrong(path, "must be a number", value)
            case types.FloatType() if isinstance(value, float) and not math.isfinite(value):
                self.problems.append(Problem(path, "must be finite"))  # TOML has inf and nan
            case types.IntType() | types.FloatType() if expected.ge is not None and value < expected.ge:
                self.problems.append(Problem(path, f"must be at least {expected.ge}"))
            case types.IntType() | types.FloatType() if expected.le is not None and value > expected.le:
                self.problems.append(Problem(path, f"must be at most {expected.le}"))
            case types.LiteralType() if value not in expected.values or not isinstance(value, str):
                return self._choice(path, value, [str(each) for each in expected.values])
            case types.StrType() if not isinstance(value, str):
                return self._wrong(path, "must be a text", value, "Put it in quotes.")
            case types.StrType() if not value and kind != "secret":
                self.problems.append(Problem(path, "is empty", "Give it a value, or leave the key out."))
            case _:
                self._kind(value, kind, path)
        return value

    def _kind(self, value: Any, kind: Kind | None, path: Path) -> None:
        if kind is not None and kind in self.kinds and (found := self.kinds[kind](value)):
            self.problems.append(Problem(path, *found))

    def _unit(self, value: Any, path: Path, parse: Callable[[object], float], hint: str) -> Any:
        try:
            return parse(value)
        except ValueError as error:
            self.problems.append(Problem(path, str(error), hint))
            return value

    def _day(self, value: Any, path: Path) -> Any:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            return date.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            return self._wrong(path, "must be a day", value, "Write it without quotes: 2027-03-01")

    def _choice(self, path: Path, value: Any, values: list[str]) -> Any:
        listed = ", ".join(values)
        if not isinstance(value, str):
            return self._wrong(path, f"must be one of {listed}", value)
        self.problems.append(Problem(path, f"cannot be {value!r}", did_you_mean(value, values)))
        return value

    def _wrong(self, path: Path, must: str, value: Any, hint: str = "") -> Any:
        self.problems.append(Problem(path, f"{must}, not {_word_of(value)}", hint))
        return value


def misplaced(value: Any, expected: types.StructType) -> bool:
    """Whether `value` holds only tables with names that are no keys: there was a dot in the name above."""
    known = {each.encode_name for each in expected.fields}
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(each, dict) and key not in known for key, each in value.items())
    )


def kind_of(expected: types.Type) -> Kind | None:
    """The kind marked on a type, also through ``| None``."""
    while True:
        if isinstance(expected, types.Metadata):
            if expected.extra and "kind" in expected.extra:
                kind: Kind = expected.extra["kind"]
                return kind
            expected = expected.type
        elif isinstance(expected, types.UnionType) and len(kept := _without_none(expected)) == 1:
            expected = kept[0]
        else:
            return None


def plain(expected: types.Type) -> types.Type:
    """A type without its marks and without ``None``, which TOML cannot say."""
    while True:
        if isinstance(expected, types.Metadata):
            expected = expected.type
        elif isinstance(expected, types.UnionType):
            first, *others = _without_none(expected)
            if others:
                return types.UnionType((first, *others))
            expected = first
        else:
            return expected


def _misspelt(name: str, given: Collection[str], known: Collection[str]) -> bool:
    unknown = [key for key in given if key not in known]
    return any(did_you_mean(key, known) == f"Did you mean {name}?" for key in unknown)


def _is_precise(expected: types.Type) -> bool:
    return kind_of(expected) is not None or isinstance(plain(expected), types.StructType)


def _without_none(union: types.UnionType) -> tuple[types.Type, ...]:
    return tuple(each for each in union.types if not isinstance(each, types.NoneType))


def _word(expected: types.Type) -> str:
    match plain(expected):
        case types.StrType():
            return "a text"
        case types.BoolType():
            return "true or false"
        case types.VarTupleType() | types.ListType():
            return "a list"
        case types.DictType() | types.StructType():
            return "a table"
        case _:
            return "a number"


def _word_of(value: Any) -> str:
    for kind, word in (
        (bool, "true or false"),
        (int, "a number"),
        (float, "a number"),
        (str, "a text"),
        (list, "a list"),
        (dict, "a table"),
    ):
        if isinstance(value, kind):
            return word
    return "a date or time"
