"""Header fields of stored bytes: found, replaced or added as whole lines; all other bytes stay as they came.

A field is its lines, first and folded ones, CRLF included (RFC 5322 2.2). Nothing here decodes and
writes anew what it was not asked to change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from postbearer.address import refuse_controls
from postbearer.errors import UsageError

MAXIMUM_HEADER = 1024 * 1024  # octets; the header section is held in memory, the body never is

_NAME = re.compile(r"[!-9;-~]{1,77}\Z")  # ftext, RFC 5322 3.6.8
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")


class Field(NamedTuple):
    """One header field as it stands in the message."""

    name: str  # lower case; "" for a line that is no field at all
    raw: bytes

    @property
    def value(self) -> str:
        """The value unfolded (RFC 5322 2.2.3); undecodable octets as surrogate escapes become ``?``."""
        text = self.raw.partition(b":")[2].decode("utf-8", "replace")
        return text.replace("\r\n", "").replace("\n", "").strip()


@dataclass(frozen=True, slots=True)
class Header:
    """The header section of a message, without the empty line that ends it."""

    fields: tuple[Field, ...]

    @classmethod
    def parse(cls, section: bytes) -> Header:
        """Cut `section` (CRLF lines) into fields. A line that is no field is kept as it is, nameless."""
        fields: list[Field] = []
        for line in section.splitlines(keepends=True):
            if line.startswith((b" ", b"\t")) and fields:
                fields[-1] = Field(fields[-1].name, fields[-1].raw + line)
            else:
                match = _FIELD.match(line)
                fields.append(Field(match[1].decode("ascii").lower() if match else "", line))
        return cls(tuple(fields))

    def __bytes__(self) -> bytes:
        return b"".join(field.raw for field in self.fields)

    def all(self, name: str) -> tuple[Field, ...]:
        name = name.lower()
        return tuple([field for field in self.fields if field.name == name])

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def get(self, name: str) -> str | None:
        """Value of the first field of that name."""
        found = self.all(name)
        return found[0].value if found else None

    def set(self, name: str, value: str) -> Header:
        """Put one field of that name where the first stood, or at the top; any others of it go."""
        new = make_field(name, value)
        kept: list[Field] = []
        for field in self.fields:
            if field.name != new.name:
                kept.append(field)
            elif new not in kept:
                kept.append(new)
        return Header(tuple(kept) if new in kept else (new, *kept))

    def add(self, name: str, value: str) -> Header:
        """Put a field on top, as a relay does (RFC 5321 4.4)."""
        return Header((make_field(name, value), *self.fields))

    def without(self, name: str) -> Header:
        return Header(tuple(field for field in self.fields if field.name != name.lower()))


def make_field(name: str, value: str) -> Field:
    """A new field, folded. Raises `UsageError` for a name or value that would break the header."""
    check_field(name, value)
    line = "\r\n ".join(_folded(f"{name}: {value}"))
    return Field(name.lower(), line.encode() + b"\r\n")


def check_field(name: str, value: str) -> None:
    """Raise `UsageError` if name or value could smuggle in another field (rows L1, L2)."""
    if not _NAME.match(name):
        raise UsageError(f"{name[:80]!r} cannot be the name of a header field (RFC 5322 3.6.8).")
    refuse_controls(value, f"the value of {name}")


def _folded(line: str) -> Iterator[str]:
    """Lines of at most 78 characters where blanks allow it, never over 998 octets (RFC 5322 2.1.1)."""
    while len(line) > 78 and (cut := _last_blank(line)) > 0:
        yield line[:cut]
        line = line[cut + 1 :]
    if len(line.encode()) > 990:
        raise UsageError(f"A header field has {len(line)} characters without a blank to fold it at.")
    yield line


def _last_blank(line: str) -> int:
    """Where to cut: the last blank that leaves at most 78 characters, behind the name of the field."""
    start = line.find(": ") + 2
    cut = line.rfind(" ", start, 78)
    return cut if cut > start else line.find(" ", max(78, start))


def split(head: bytes) -> tuple[bytes, int]:
    """The header section of a message that begins with `head`, and where its body begins.

    A message whose header never ends within `head` is all header.
    """
    if head.startswith(b"\r\n"):
        return b"", 2
    end = head.find(b"\r\n\r\n")
    return (head, len(head)) if end < 0 else (head[: end + 2], end + 4)
