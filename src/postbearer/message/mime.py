"""The parts of a message, found while its octets pass (RFC 2046 5.1): in time and memory that do not grow.

Nothing is decoded, and nothing is lost: what comes out is what came in, cut where a part's header, a part's
body, or what stands between parts begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from postbearer.message.content import LONGEST_LINE
from postbearer.message.fields import MAXIMUM_HEADER, Header

DEEPEST = 50  # multiparts within each other; what lies deeper is not looked into

_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_TYPE = re.compile(r"\s*([\w.+-]+)/([\w.+-]+)")
_BOUNDARY = re.compile(r"""(?i);\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))""")


class Kind(Enum):
    """What a piece of a message is."""

    HEADER = "header"  # all of a part's header, without the empty line behind it
    BODY = "body"  # a piece of a body that holds no other part
    BETWEEN = "between"  # delimiters, and what stands before, between and behind parts


class Part:
    """One entity of the message: itself, or a part of it."""

    __slots__ = ("boundary", "encoding", "header", "main", "number", "signed", "sub")

    def __init__(self, number: int, header: Header, default: str, *, signed: bool) -> None:
        self.number = number
        self.header = header
        self.signed = signed  # within a multipart/signed: no octet of it may change
        written = header.get("content-type") or ""
        found = _TYPE.match(written) or _TYPE.match(default)
        assert found is not None, "the default is a type"
        self.main, self.sub = found[1].lower(), found[2].lower()
        self.encoding = (header.get("content-transfer-encoding") or "7bit").strip().lower()
        match = _BOUNDARY.search(written) if self.main == "multipart" and self.plain else None
        value = (re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2]) if match else ""
        self.boundary = value.rstrip().encode("utf-8", "replace")

    @property
    def plain(self) -> bool:
        """Whether its octets mean themselves."""
        return self.encoding in ("7bit", "8bit", "binary")

    @property
    def holds_message(self) -> bool:
        return self.main == "message" and self.sub in ("rfc822", "global") and self.plain


class Piece(NamedTuple):
    """Octets of a message and where they belong. `ended`: an empty line stood behind this header."""

    kind: Kind
    part: Part
    data: bytes
    ended: bool = True


class PartReader:
    """Cuts a message that comes in pieces into those of its parts."""

    def __init__(self) -> None:
        self._open: list[Part] = []  # multiparts whose end has not come
        self._part: Part | None = None  # whose body, or whose preamble or epilogue, this is
        self._head: bytearray | None = bytearray()  # a header that is not complete
        self._held = b""
        self._at_line = True
        self._count = 0
        self._default = "text/plain"
        self.too_large = False  # a header of more than 1 MiB: nothing behind it was understood

    def feed(self, data: bytes) -> Iterator[Piece]:
        """What the next octets are. A line that has not ended comes with the next ones, unless it is long."""
        data = self._held + data
        end = data.rfind(b"\r\n") + 2
        if end < 2:
            end = 0
        self._held = data[end:]
        if end:
            yield from self._lines(data[:end])
        if len(self._held) > 2 * LONGEST_LINE:  # no delimiter, and no line to wait for
            most = len(self._held) - self._held.endswith(b"\r")
            piece, self._held = self._held[:most], self._held[most:]
            yield from self._unended(piece)

    def finish(self) -> Iterator[Piece]:
        """The rest."""
        if self._held:
            held, self._held = self._held, b""
            if self._delimits(held + b"\r\n", 0, len(held) + 2) is not None and self._at_line:
                yield from self._lines(held + b"\r\n")
            else:
                yield from self._unended(held)
        if self._head is not None:
            yield self._header(ended=False)

    def _unended(self, data: bytes) -> Iterator[Piece]:
        if self._head is not None and self._at_line and not self._belongs(data, 0, len(data)):
            yield self._header(ended=False)
        if self._head is not None:
            yield from self._collect(data)
        else:
            yield self._piece(data)
        self._at_line = False

    def _lines(self, data: bytes) -> Iterator[Piece]:
        """Whole lines; the first may go on one that has begun."""
        place = 0
        while place < len(data):
            if self._head is not None:
                end = data.index(b"\r\n", place) + 2
                if self._at_line and end == place + 2:
                    yield self._header(ended=True)
                elif self._at_line and not self._belongs(data, place, end):
                    yield self._header(ended=False)
                    continue
                else:
                    yield from self._collect(data[place:end])
                place = end
            else:
                found = self._next_delimiter(data, place)
                start, end, level, closing = found or (len(data), len(data), 0, False)
                if start > place:
                    yield self._piece(data[place:start])
                if found:
                    yield self._delimiter(data[start:end], level, closing=closing)
                place = end
            self._at_line = True

    def _belongs(self, data: bytes, start: int, end: int) -> bool:
        """Whether this line is one of the header that has begun."""
        if self._head and data.startswith((b" ", b"\t"), start):
            return True
        return bool(_FIELD.match(data, start, end)) and self._delimits(data, start, end) is None

    def _piece(self, data: bytes) -> Piece:
        assert self._part is not None, "a header comes before all else"
        return Piece(Kind.BETWEEN if self._part.boundary else Kind.BODY, self._part, data)

    def _collect(self, line: bytes) -> Iterator[Piece]:
        assert self._head is not None
        self._head += line
        if len(self._head) > MAXIMUM_HEADER:
            self.too_large = True
            yield self._header(ended=False)

    def _header(self, *, ended: bool) -> Piece:
        assert self._head is not None
        data, self._head = bytes(self._head), None
        signed = bool(self._open) and (self._open[-1].signed or self._open[-1].sub == "signed")
        part = Part(self._count, Header.parse(data), self._default, signed=signed)
        self._count += 1
        if len(self._open) == DEEPEST:
            part.boundary = b""
        self._part = part
        if part.boundary:
            self._open.append(part)
        elif part.holds_message:
            self._head, self._default = bytearray(), "text/plain"
        return Piece(Kind.HEADER, part, data, ended)

    def _delimiter(self, line: bytes, level: int, *, closing: bool) -> Piece:
        parent = self._open[level]
        del self._open[level + 1 :]
        self._part = parent
        if closing:
            self._open.pop()
        else:
            self._head = bytearray()
            self._default = "message/rfc822" if parent.sub == "digest" else "text/plain"
        return Piece(Kind.BETWEEN, parent, line)

    def _next_delimiter(self, data: bytes, place: int) -> tuple[int, int, int, bool] | None:
        """Where the next delimiter line is: its start, its end, of which open part, whether it closes it."""
        if not self._open:
            return None
        start = place if self._at_line and data.startswith(b"--", place) else _dashes(data, place)
        while start >= 0:
            end = data.index(b"\r\n", start) + 2
            if (found := self._delimits(data, start, end)) is not None:
                return start, end, *found
            start = _dashes(data, end - 2)
        return None

    def _delimits(self, data: bytes, start: int, end: int) -> tuple[int, bool] | None:
        if not data.startswith(b"--", start) or end - start > LONGEST_LINE:
            return None
        line = data[start + 2 : end].rstrip(b" \t\r\n")
        for level in range(len(self._open) - 1, -1, -1):
            boundary = self._open[level].boundary
            if line.startswith(boundary) and line[len(boundary) :] in (b"", b"--"):
                return level, len(line) > len(boundary)
        return None


def _dashes(data: bytes, place: int) -> int:
    """Where the next line begins that may be a delimiter; -1 if none does."""
    found = data.find(b"\r\n--", place)
    return found + 2 if found >= 0 else -1
