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
from postbearer.message.fields import Field, Header
from postbearer.message.header_section import HeaderReader

MOST_PARTS = 1000
DEEPEST = 50  # multiparts within each other; what lies deeper is not looked into

_TYPE = re.compile(r"\s*([\w.+-]+)/([\w.+-]+)")
_BOUNDARY = re.compile(r"""(?i);\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))""")


class Kind(Enum):
    """What a piece of a message is."""

    HEADER = "header"  # all of a part's header, without the empty line behind it
    BODY = "body"  # a piece of a body that holds no other part
    BETWEEN = "between"  # delimiters, and what stands before, between and behind parts


class Part:
    """One entity of the message: itself, or a part of it."""

    __slots__ = ("boundary", "encoding", "fault", "header", "main", "number", "signed", "sub")

    def __init__(self, number: int, reader: HeaderReader, default: str, *, signed: bool) -> None:
        self.number = number
        self.fault = reader.fault  # why nobody can say what its header means
        fields = () if reader.fault else reader.fields
        self.header = header = Header(tuple([Field(name.decode("ascii"), raw) for name, raw in fields]))
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


class _Delimiter(NamedTuple):
    """A line that begins a part of that level, or ends them."""

    start: int
    end: int
    level: int
    closing: bool


_UNKNOWN = _Delimiter(-1, -1, -1, closing=False)


class PartReader:
    """Cuts a message that comes in pieces into those of its parts."""

    def __init__(self) -> None:
        self._open: list[Part] = []  # multiparts whose end has not come
        self._part: Part | None = None  # whose body, or whose preamble or epilogue, this is
        self._reader: HeaderReader | None = HeaderReader()  # of a header that is not complete
        self._head = bytearray()  # what it has read
        self._held = b""
        self._at_line = True
        self._ahead: dict[int, _Delimiter | None] = {}  # the next one of each open part, in these lines
        self.count = 0  # of parts
        self._default = "text/plain"

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
            if self._at_line and self._delimits(held + b"\r\n", 0, len(held) + 2) is not None:
                yield from self._lines(held + b"\r\n")
            else:
                yield from self._unended(held)
        while self._reader is not None:
            yield from self._header()

    def _unended(self, data: bytes) -> Iterator[Piece]:
        if self._reader is not None:
            yield from self._collect(data)
        else:
            yield self._piece(data)
        self._at_line = False

    def _lines(self, data: bytes) -> Iterator[Piece]:
        """Whole lines; the first may go on one that has begun."""
        place = 0
        self._ahead.clear()
        while place < len(data):
            if self._reader is not None:
                end = data.index(b"\r\n", place) + 2
                if self._at_line and self._delimits(data, place, end) is not None:
                    yield from self._header()
                else:
                    yield from self._collect(data[place:end])
                    place = end
            else:
                found = self._next_delimiter(data, place)
                start, end, level, closing = found or _Delimiter(len(data), len(data), 0, closing=False)
                if start > place:
                    yield self._piece(data[place:start])
                if found:
                    yield self._delimiter(data[start:end], level, closing=closing)
                place = end
            self._at_line = True

    def _piece(self, data: bytes) -> Piece:
        assert self._part is not None, "a header comes before all else"
        return Piece(Kind.BETWEEN if self._part.boundary else Kind.BODY, self._part, data)

    def _collect(self, line: bytes) -> Iterator[Piece]:
        assert self._reader is not None
        self._head += line
        if self._reader.feed(line):
            yield from self._header()

    def _header(self) -> Iterator[Piece]:
        """The header that is complete, and what came behind it already."""
        assert self._reader is not None
        reader, self._reader = self._reader, None
        reader.finish()
        section, rest = bytes(self._head[: reader.body]), bytes(self._head[reader.body :])
        self._head.clear()
        ended = section == b"\r\n" or section.endswith(b"\r\n\r\n")
        signed = bool(self._open) and (self._open[-1].signed or self._open[-1].sub == "signed")
        part = Part(self.count, reader, self._default, signed=signed)
        self.count += 1
        if len(self._open) == DEEPEST:
            part.boundary = b""
        self._part = part
        if part.boundary:
            self._ahead.pop(len(self._open), None)
            self._open.append(part)
        elif part.holds_message:
            self._reader, self._default = HeaderReader(), "text/plain"
        yield Piece(Kind.HEADER, part, section[:-2] if ended else section, ended)
        if rest.endswith(b"\r\n"):
            self._at_line = True
            yield from self._lines(rest)
        elif rest:
            yield from self._unended(rest)

    def _delimiter(self, line: bytes, level: int, *, closing: bool) -> Piece:
        parent = self._open[level]
        del self._open[level + 1 :]
        self._part = parent
        if closing:
            self._open.pop()
        else:
            self._reader = HeaderReader()
            self._default = "message/rfc822" if parent.sub == "digest" else "text/plain"
        return Piece(Kind.BETWEEN, parent, line)

    def _next_delimiter(self, data: bytes, place: int) -> _Delimiter | None:
        """The next delimiter line; of two that begin at one place that of the inner part.

        Each boundary is looked for once in `data`, however many delimiters are found meanwhile.
        """
        first: _Delimiter | None = None
        for level, part in enumerate(self._open):
            found = self._ahead.get(level, _UNKNOWN)
            if found is not None and found.start < place:
                found = self._ahead[level] = self._find(data, place, level, part.boundary)
            if found is not None and (first is None or found.start <= first.start):
                first = found
        return first

    def _find(self, data: bytes, place: int, level: int, boundary: bytes) -> _Delimiter | None:
        if place == 0 and self._at_line and data.startswith(b"--"):
            end = data.index(b"\r\n") + 2
            if (found := self._delimits(data, 0, end)) is not None and found[0] == level:
                return _Delimiter(0, end, *found)
        mark = b"\r\n--" + boundary
        start = data.find(mark, max(place - 2, 0))
        while start >= 0:
            end = data.index(b"\r\n", start + 2) + 2
            behind = data[start + len(mark) : end].rstrip(b" \t\r\n")
            if end - start <= LONGEST_LINE and behind in (b"", b"--"):
                return _Delimiter(start + 2, end, level, bool(behind))
            start = data.find(mark, end - 2)
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
