"""Where the header of a message ends, and which fields it has (RFC 5322 2.2): one reading for every way in.

The header ends at the empty line, or in front of the first line that is no field and continues none: programs
and devices write text without a header, and parsers disagree about all that follows such a line. Without
regular expressions or functools, because ``sendmail`` hands a message over before it could load them.
"""

from __future__ import annotations

MAXIMUM_HEADER = 1024 * 1024  # octets; the header section is held in memory, the body never is
MAXIMUM_FIELDS = 1000
MAXIMUM_LINES = 10_000  # folded ones, too

_FTEXT = bytes(each for each in range(33, 127) if each != 58)  # RFC 5322 3.6.8
_LONGEST_NAME = 256  # octets, with blanks behind it
_MBOX = (b"From ", b">From ")
_BLANK = frozenset(b" \t")
_MOST_NAMES = 1000

_names: dict[bytes, bytes] = {}  # what was read of most names before: `_name` of each


class HeaderReader:
    """Reads the header of a message that comes in pieces, in time that grows with its length and no faster.

    A CR ends a line together with an LF only (RFC 5322 2.2); with `lf`, as programs write files, an LF alone
    does, too, and the lines come out with LF, a CR within them as a blank. What common parsers take for the
    end of the header does not come out: blanks between the name of a field and its colon, lines of blanks
    only, and in front the line ``From …`` of a mailbox file.
    """

    __slots__ = ("_fields", "_lf", "_lines", "_mbox", "_rest", "body", "ended", "fault", "parted")

    def __init__(self, *, lf: bool = False) -> None:
        self.body = 0  # octet at which the body begins, once `ended`
        self.ended = False
        self.parted = False  # an empty line stands between the two
        self.fault = ""  # why no message may have such a header
        self._lf = lf
        self._fields: list[tuple[bytes, list[bytes]]] = []
        self._lines = 0
        self._mbox = False  # the first line is one of a mailbox file, if a field comes next
        self._rest = bytearray()  # of the line that has begun

    def feed(self, data: bytes) -> bool:
        """Take the next octets; whether the header has ended, so that no more are needed."""
        if self.ended:
            return True
        start = 0
        if self._rest:
            start = data.find(b"\n") + 1
            self._rest += data[:start] if start else data
            if start:
                line, self._rest = bytes(self._rest), bytearray()
                self._take(line, 0)
        if not self.ended and (start or not self._rest):
            start = self._take(data, start)
            if not self.ended:
                self._rest += data[start:]
        if not self.ended and self.body + len(self._rest) > MAXIMUM_HEADER:
            self._take(bytes(self._rest) + b"\n", 0)
        return self.ended

    def finish(self) -> None:
        """No more comes: a last line without its end is a line, too."""
        if not self.ended and self._rest:
            came = self.body + len(self._rest)
            self._take(bytes(self._rest) + (b"\n" if self._lf else b"\r\n"), 0)
            self.body = min(self.body, came)
        if not self.ended:
            self._end(0)

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Each field: its name in lower case, and its lines."""
        fields = []
        for name, lines in self._fields:
            fields.append((name, lines[0] if len(lines) == 1 else b"".join(lines)))
        return fields

    def _take(self, data: bytes, start: int) -> int:
        """Take the whole lines of `data` from `start` on, until the header ends; where it goes on.

        In one loop, because every message that comes in is read here line by line.
        """
        fields = self._fields
        while not self.ended and (end := data.find(b"\n", start) + 1):
            line, folded = data[start:end], data[start] in _BLANK and bool(fields)
            if not folded:
                colon = line.find(b":", 0, _LONGEST_NAME)
                written = line[:colon] if colon > 0 else b""
                name = _names.get(written)
                if name is None:
                    name = _name(written)
                if not name:
                    self._no_field(line)
                    start = end
                    continue
                fields.append((name, []))
                line = line if len(name) == colon else line[: len(name)] + line[colon:]
            self.body += end - start
            self._lines += 1
            if self.body > MAXIMUM_HEADER or len(fields) > MAXIMUM_FIELDS or self._lines > MAXIMUM_LINES:
                self._refuse(self._too_much())
            elif self._lf:
                line = line.rstrip(b"\r\n").replace(b"\r", b" ") + b"\n"
            elif line.find(b"\r") != len(line) - 2 or b"\0" in line:
                self._refuse("The header of the message holds a bare CR or LF, or a NUL")
            if not folded or line.strip(b" \t\r\n"):
                fields[-1][1].append(line)
            start = end
        return start

    def _no_field(self, line: bytes) -> None:
        if line == b"\r\n" or (self._lf and not line.strip(b"\r\n")):
            self._end(len(line))
        elif line.startswith(_MBOX) and not self._fields and not self._mbox:
            self._mbox = True
            self.body += len(line)
        else:
            self._end(0)

    def _too_much(self) -> str:
        """What there is too much of."""
        if self.body > MAXIMUM_HEADER:
            return f"The header of the message is larger than {MAXIMUM_HEADER // 1024} KiB"
        if len(self._fields) > MAXIMUM_FIELDS:
            return f"The header of the message has more than {MAXIMUM_FIELDS} fields"
        return f"The header of the message has more than {MAXIMUM_LINES} lines"

    def _end(self, length: int) -> None:
        """The header is over; a line of `length` octets parts it from the body."""
        self.ended = True
        self.parted = length > 0
        self.body = self.body + length if self._fields or not self._mbox else 0

    def _refuse(self, fault: str) -> None:
        self.ended = True
        self.fault = fault


def _name(written: bytes) -> bytes:
    """The name of a field in lower case, without the blanks behind it; empty if it is none."""
    name = written.rstrip(b" \t")
    name = b"" if name.translate(None, _FTEXT) else name.lower()
    if len(_names) >= _MOST_NAMES:  # somebody makes them up
        _names.clear()
    _names[written] = name
    return name


def cut_header(data: bytes, *, lf: bool = False) -> HeaderReader:
    """The header of a whole message."""
    reader = HeaderReader(lf=lf)
    reader.feed(data)
    reader.finish()
    return reader
