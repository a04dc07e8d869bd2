"""What a client sent, read as the type that an endpoint takes; what does not fit is told with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import DecodeError, Struct, ValidationError
from msgspec.inspect import NoneType

from postbearer.api.problems import HttpProblem, MissingField, at
from postbearer.suggestion import did_you_mean

S = TypeVar("S", bound=Struct)
T = TypeVar("T")

MOST_FIELDS = 200  # of a query
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `(.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*?)`(?: - at `(.*)`)?", re.DOTALL)
_PLACED = re.compile(r"(.*) - at `(?:key in )?(.*)`", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def parse_json(octets: bytes, type: type[T]) -> T:
    """`octets` as `type`. Raises `HttpProblem` that names the field, by a JSON pointer."""
    if not octets.strip():
        raise HttpProblem("malformed", "The request has no body.", hint="Send JSON (UTF-8).")
    try:
        return msgspec.json.decode(octets, type=type)
    except ValidationError as error:
        raise _misfit(str(error), type) from None
    except RecursionError:
        raise HttpProblem("malformed", "The JSON is nested too deeply.") from None
    except (DecodeError, UnicodeError) as error:
        raise HttpProblem("malformed", f"This is not JSON: {error}.", hint="Send JSON (UTF-8).") from None


def parse_query(query: bytes, type: type[S]) -> S:
    """A query string as `type`; one that may have several values is repeated. Raises `HttpProblem`."""
    return _parse_query(query, type) if query else _empty(type)


@cache
def _empty(type: type[S]) -> S:
    """What no parameters say: nothing else is asked so often."""
    return _parse_query(b"", type)


def _parse_query(query: bytes, type: type[S]) -> S:
    try:
        given = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(query),
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:
        raise HttpProblem("malformed", f"The query cannot be read: {error}.") from None
    known = _lists(type)
    values: dict[str, Any] = {}
    for name, value in given:
        if name not in known:
            hint = did_you_mean(name, known) or _there_are(known)
            raise at("There is no such parameter.", parameter=name[:80], hint=hint)
        if known[name]:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise at("It is given twice.", parameter=name)
        else:
            values[name] = value
    try:
        return msgspec.convert(values, type, strict=False)
    except ValidationError as error:
        text, place = _split(str(error))
        raise at(f"{text}.", parameter=_name(place), hint=_help_for(_type_at(type, place))) from None


@cache
def _lists(type: type[Struct]) -> Mapping[str, bool]:
    """The fields of a query, and whether each may have several values. To find out takes long."""
    return {each.encode_name: _is_list(each.type) for each in msgspec.structs.fields(type)}


def _is_list(type: Any) -> bool:
    found = msgspec.inspect.type_info(type)
    while isinstance(found, msgspec.inspect.Metadata):
        found = found.type
    return isinstance(found, msgspec.inspect.VarTupleType | msgspec.inspect.ListType)


def _misfit(text: str, type: type[Any]) -> HttpProblem:
    if found := _UNKNOWN.fullmatch(text):
        name, place = found[1], pointer(found[2] or "$")
        known = _fields_at(type, found[2] or "$")
        hint = did_you_mean(name, known) or _there_are(known)
        return at("There is no such field.", pointer=f"{place}/{_escaped(name[:80])}", hint=hint)
    if found := _MISSING.fullmatch(text):
        place = pointer(found[2] or "$")
        return MissingField(f"{place}/{_escaped(found[1])}")
    what, place = _split(text)
    hint = _help_for(_type_at(type, place)) or ("" if pointer(place) else _there_are(_fields_at(type, place)))
    return at(f"{what}.", pointer=pointer(place), hint=hint)


def _split(text: str) -> tuple[str, str]:
    found = _PLACED.fullmatch(text)
    return (found[1], found[2]) if found else (text, "$")


def pointer(place: str) -> str:
    """A JSON pointer (RFC 6901) to what msgspec calls `place`, as far as it is told: ``$.to[0]``."""
    return "".join(
        f"/{_escaped(name or number)}" for name, number in _STEP.findall(place[1:].replace("[...]", ""))
    )


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _name(place: str) -> str:
    found = _STEP.search(place)
    return found[1] if found else ""


def _fields_at(type: type[Any], place: str) -> Mapping[str, Any]:
    """The names that are known at `place`, and may say something."""
    known = _struct_in(_type_at(type, place))
    return (
        {each.encode_name: each for each in known.fields if not isinstance(each.type, NoneType)}
        if isinstance(known, msgspec.inspect.StructType)
        else {}
    )


def _type_at(type: type[Any], place: str) -> Any:
    """What msgspec knows of the type at `place`."""
    known: Any = msgspec.inspect.type_info(type)
    for name, _ in _STEP.findall(place[1:]):
        known = _struct_in(known)
        if name and isinstance(known, msgspec.inspect.StructType):
            known = next((each.type for each in known.fields if each.encode_name == name), None)
    return known


def _help_for(known: Any) -> str:
    """What may stand there, where that is one of some words, or can be written in several ways."""
    match known:
        case msgspec.inspect.LiteralType(values=values):
            return f"There are: {', '.join(map(str, values))}."
        case msgspec.inspect.EnumType(cls=cls):
            return f"There are: {', '.join(str(each.value) for each in cls)}."
        case msgspec.inspect.Metadata(type=msgspec.inspect.UnionType()):
            told = (known.extra_json_schema or {}).get("description")
            return f"Give {told}." if told else _help_for(known.type)
        case msgspec.inspect.Metadata(type=inner):
            return _help_for(inner)
        case msgspec.inspect.UnionType(types=types):
            return next(filter(None, map(_help_for, types)), "")
        case _:
            return ""


def _struct_in(known: Any) -> Any:
    """The struct behind marks, unions and lists."""
    match known:
        case msgspec.inspect.Metadata(type=inner):
            return _struct_in(inner)
        case msgspec.inspect.VarTupleType(item_type=inner) | msgspec.inspect.ListType(item_type=inner):
            return _struct_in(inner)
        case msgspec.inspect.UnionType(types=types):
            found = [_struct_in(each) for each in types]
            return next((each for each in found if isinstance(each, msgspec.inspect.StructType)), known)
        case _:
            return known


def _there_are(known: Mapping[str, Any]) -> str:
    return f"There are: {', '.join(sorted(known))}." if known else ""
