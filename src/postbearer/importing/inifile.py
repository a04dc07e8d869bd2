"""An INI file as Python's configparser reads it, with the line of every key."""

from __future__ import annotations

import re
from configparser import (
    ConfigParser,
    DuplicateOptionError,
    DuplicateSectionError,
    Error,
    MissingSectionHeaderError,
)
from configparser import ParsingError as UnreadableLine
from dataclasses import dataclass, field

from postbearer.errors import ConfigError

_HEAD = re.compile(r"\[(?P<section>.+)\]")
_KEY = re.compile(r"(?P<key>[^\s=:#;][^=:]*?)\s*(?:[=:]|$)")


@dataclass(slots=True)
class Section:
    """One section. What is asked for is remembered, so that the rest can be reported."""

    name: str
    line: int
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def text(self, key: str) -> str:
        self.used.add(key)
        return self.values.get(key, "").strip()

    def on(self, key: str) -> bool:
        return self.text(key).casefold() in ("true", "yes", "on", "1")

    def line_of(self, key: str) -> int:
        return self.lines.get(key, self.line)

    def inherit(self, other: Section) -> None:
        """Take over what `other` says and this section does not."""
        other.used |= set(other.values)
        self.values = {**other.values, **self.values}
        self.lines = {**other.lines, **self.lines}

    @property
    def rest(self) -> list[str]:
        """Keys nobody asked for."""
        return [key for key in self.values if key not in self.used]


def sections(text: str, file: str) -> list[Section]:
    """The sections in their order. Raises `ConfigError`; it never repeats the line, which may be a secret."""
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except Error as error:
        raise _unreadable(error, file) from None
    places = _places(text)
    return [
        Section(
            name,
            places.get((name, ""), 0),
            dict(parser.items(name)),
            {key: places.get((name, key), 0) for key in parser[name]},
        )
        for name in parser.sections()
    ]


def _unreadable(error: Error, file: str) -> ConfigError:
    line = getattr(error, "lineno", None)
    match error:
        case DuplicateSectionError():
            message = f"There are two sections [{error.section}]."
        case DuplicateOptionError():
            message = f"The key {error.option} stands twice in [{error.section}]."
        case MissingSectionHeaderError():
            message = "This is no INI file: a key stands before the first section."
        case UnreadableLine():
            places: list[tuple[int, str]] = getattr(error, "errors", [])  # not of every kind, from 3.13 on
            line = places[0][0] if places else line
            message = "This is neither a section nor a key."
        case _:
            message = "This is no INI file."
    return ConfigError(message, file=file, line=line, hint="Correct it, and import again.")


def _places(text: str) -> dict[tuple[str, str], int]:
    """Section and key → line; the section alone has an empty key. Indented lines continue a value."""
    places: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.split("\n"), 1):
        if head := _HEAD.match(line):
            section = head["section"]
            places[section, ""] = number
        elif line[:1].strip() and (key := _KEY.match(line)):
            places[section, key["key"].strip().lower()] = number
    return places
