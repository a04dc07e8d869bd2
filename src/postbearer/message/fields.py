"""Header fields of stored bytes: found, replaced or added as whole lines; all other bytes stay as they came.

A field is its lines, first and folded ones, CRLF included (RFC 5322 2.2). Nothing here decodes and
writes anew what it was not asked to change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from postbearer.address import refuse_controls
from postbearer.errors import UsageError
from postbearer.message.header_section import HeaderReader, cut_header
from postbearer.message.recipients import HIDDEN, NOT_SENT

_NAME = re.compile(r"[!-9;-~]{1,77}\Z")  # ftext, RFC 5322 3.6.8


class Field(NamedTuple):
    """One header field as it stands in the message."""

    name: str  # lower case
    raw: bytes

    @property
    def value(self) -> str:
        """The value unfolded (RFC 5322 2.2.3), tabs as blanks; what is no UTF-8 is read as Windows-1252."""
        octets = self.raw.partition(b":")[2].replace(b"\r\n", b"").replace(b"\t", b" ").strip(b" ")
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return octets.decode("cp1252", "replace")


@dataclass(frozen=True, slots=True)
class Header:
    """The header section of a message, without the empty line that ends it."""

    fields: tuple[Field, ...]
    _named: Mapping[str, list[Field]] | None = field(
        default=None, init=False, repr=False, compare=False
    )  # by name, once somebody has asked

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """The header that `data` (CRLF lines) begins with. Raises `UsageError` for one nobody may send."""
        return cls.of(cut_header(data))

    @classmethod
    def of(cls, reader: HeaderReader) -> Header:
        """What `reader` has read to the end. Raises `UsageError` for a header nobody may send."""
        if reader.fault:
            raise UsageError(f"{reader.fault}.", hint="Mend what writes this message.")
        return cls(tuple([Field(name.decode("ascii"), raw) for name, raw in reader.fields]))

    def __bytes__(self) -> bytes:
        return b"".join([field.raw for field in self.fields])

    def all(self, name: str) -> tuple[Field, ...]:
        return tuple((self._named or self._by_name()).get(name.lower(), ()))

    def _by_name(self) -> Mapping[str, list[Field]]:
        """The fields by their names."""
        if self._named is None:
            named: dict[str, list[Field]] = {}
            for each in self.fields:
                named.setdefault(each.name, []).append(each)
            object.__setattr__(self, "_named", named)
            return named
        return self._named

    def __contains__(self, name: str) -> bool:
        return name.lower() in (self._named or self._by_name())

    def get(self, name: str) -> str | None:
        """Value of the first field of that name."""
        found = (self._named or self._by_name()).get(name.lower())
        return found[0].value if found else None

    def set(self, name: str, value: str) -> Header:
        """Put one field of that name where the first stood, or at the top; any others of it go."""
        return self.put(make_field(name, value))

    def put(self, new: Field) -> Header:
        """`set`, with a field that is made already."""
        if (self._named or self._by_name()).get(new.name) == [new]:
            return self
        kept: list[Field] = []
        place = None
        for each in self.fields:
            if each.name != new.name:
                kept.append(each)
            elif place is None:
                place = len(kept)
        kept.insert(place or 0, new)
        return Header(tuple(kept))

    def map(self, names: Collection[str], change: Callable[[Field], Field]) -> Header:
        """With each field that has one of `names` (lower case) put through `change`."""
        if (self._named or self._by_name()).keys().isdisjoint(names):
            return self
        return Header(tuple([change(field) if field.name in names else field for field in self.fields]))

    def add(self, name: str, value: str) -> Header:
        """Put a field on top, as a relay does (RFC 5321 4.4)."""
        return Header((make_field(name, value), *self.fields))

    def without(self, *names: str) -> Header:
        gone = frozenset(map(str.lower, names))
        if (self._named or self._by_name()).keys().isdisjoint(gone):
            return self
        return Header(tuple([field for field in self.fields if field.name not in gone]))

    def public(self) -> Header:
        """Without the fields that name hidden recipients: these stand in the envelope (RFC 5322 3.6.3)."""
        return self.without(*HIDDEN)

    def outgoing(self) -> Header:
        """The same, and without what only the place of delivery adds (RFC 5321 4.4)."""
        return self.without(*NOT_SENT)


def make_field(name: str, value: str) -> Field:
    """A new field, folded. Raises `UsageError` for a name or value that would break the header."""
    check_field(name, value)
    line = "\r\n ".join(_folded(f"{name}: {value}"))
    return Field(name.lower(), line.encode() + b"\r\n")


def check_field(name: str, value: str) -> None:
    """Raise `UsageError` if name or value could smuggle in another field."""
    if not _NAME.match(name):
        raise UsageError(f"{name[:80]!r} cannot be the name of a header field (RFC 5322 3.6.8).")
    refuse_controls(value, f"the value of {name}")


def _folded(line: str) -> list[str]:
    """Lines of at most 78 characters where blanks allow it, never over 998 octets (RFC 5322 2.1.1)."""
    lines: list[str] = []
    start, first = 0, line.find(": ") + 2  # no fold right behind the name of the field
    while len(line) - start > 78:
        first = max(first, start + 1)
        cut = line.rfind(" ", first, start + 78)
        if cut <= first:
            cut = line.find(" ", max(start + 78, first))
        if cut < 0:
            break
        lines.append(line[start:cut])
        start = cut + 1
    lines.append(line[start:])
    for each in lines:
        if len(each.encode()) > 990:
            raise UsageError(f"A header field has {len(each)} characters without a blank to fold it at.")
    return lines
