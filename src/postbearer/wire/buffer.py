"""A bounded buffer between what arrives in pieces and what is read as lines or counted octets."""

from __future__ import annotations


class LineTooLong(ValueError):
    """A line went over its limit. It is dropped up to its end; the next line can be read."""


class BareLineFeed(ValueError):
    """An LF without its CR: two readers could disagree about where this line ends (RFC 5321 2.3.8)."""


class LineBuffer:
    """Bytes in, lines out.

    A line ends at CRLF only; with `bare`, at an LF without its CR too, and `bare_seen` says that one came.
    Each octet is searched once, however the bytes were cut.
    """

    def __init__(self, *, bare: bool = False) -> None:
        self._bare = bare
        self.bare_seen = False
        self.data = bytearray()  # what came and was not taken yet; only to be looked at
        self._searched = 0  # no LF before this place
        self._dropping = False  # inside the rest of a line that was too long
        self._last_dropped_cr = False

    def feed(self, data: bytes) -> None:
        """Append what arrived."""
        self.data += data
        if self._dropping:
            self._drop()

    def next_line(self, limit: int) -> bytes | None:
        """The next whole line without its CRLF, or None until more arrives.

        `limit` is in octets and counts the CRLF. Raises `LineTooLong` once per long line, as soon as it
        is known to be one, and `BareLineFeed`, behind which nothing should be read.
        """
        if self._dropping:
            if self.data:  # all else was let go of on its arrival
                raise BareLineFeed("a line feed stands without its carriage return")
            return None
        end = self.data.find(b"\n", self._searched, limit)
        if end < 0:
            self._searched = min(len(self.data), limit)
            if self._searched < limit:
                return None
            # Also when its end is here already: what is said must not depend on how the bytes were cut.
            self._dropping = True
            self._drop()
            raise LineTooLong(f"a line is longer than {limit} octets")
        whole = end > 0 and self.data[end - 1] == 0x0D
        if not (whole or self._bare):
            raise BareLineFeed("a line feed stands without its carriage return")
        self.bare_seen = self.bare_seen or not whole
        line = bytes(self.data[: end - whole])
        del self.data[: end + 1]
        self._searched = 0
        return line

    def take(self, most: int = -1) -> bytes:
        """Up to `most` octets as they came; all of them without `most`."""
        if most < 0 or most >= len(self.data):
            piece = bytes(self.data)
            self.data.clear()
            self._searched = 0
        else:
            piece = bytes(self.data[:most])
            self._cut(most)
        return piece

    def put_back(self, data: bytes) -> None:
        """Return octets that were taken and belong to the next line."""
        self.data[:0] = data
        self._searched = 0

    def clear(self) -> None:
        """Forget everything."""
        self._cut(len(self.data))
        self._dropping = self._last_dropped_cr = False

    def _cut(self, end: int) -> None:
        del self.data[:end]
        self._searched = 0

    def _drop(self) -> None:
        """Let go of the rest of a long line, through its CRLF if that is here."""
        end = self.data.find(b"\n")
        if end < 0:
            if self.data:
                self._last_dropped_cr = self.data[-1] == 0x0D
            self._cut(len(self.data))
            return
        before = self.data[end - 1] == 0x0D if end else self._last_dropped_cr
        if not (before or self._bare):
            return  # the LF stays: `next_line` reports it
        self._cut(end + 1)
        self._dropping = False
