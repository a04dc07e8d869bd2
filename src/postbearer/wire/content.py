"""Message content on the wire: dot-stuffing, the one true end of data, and what must not be inside.

All classes here work on whole pieces at the speed of `bytes.find` and `bytes.replace`; what they
say depends on the bytes alone, never on how these were cut.
"""

from __future__ import annotations

import re
from typing import Literal

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_BARE_CR = re.compile(rb"\r(?!\n)")
_EMPTY_LINE = re.compile(rb"\n\r?\n")

END_OF_DATA = b"\r\n.\r\n"


class LineEndCheck:
    """Looks over content as it passes: line ends and NUL."""

    def __init__(self) -> None:
        self._held = b""  # the last octet was a CR; its LF may still come
        self._bare = False
        self._nul = False

    def feed(self, data: bytes) -> None:
        """Look at the next piece."""
        self._look(data)

    def _look(self, data: bytes) -> tuple[list[bytes], bool]:
        """The lines of `data` with a CR that was held in front, and whether the last one has ended."""
        if self._held:
            data = self._held + data
        self._held = data[-1:] if data.endswith(b"\r") else b""
        if self._held:
            data = data[:-1]
        lines = data.splitlines()  # also at a bare CR or LF, and then they do not make `data` again
        clean = b"\r\n".join(lines)
        self._bare = self._bare or (data != clean and data != clean + b"\r\n")
        self._nul = self._nul or b"\0" in data
        return lines, data.endswith(b"\n")

    def end(self) -> None:
        """No more comes: a CR that still waits for its LF was a bare one."""
        self._bare = self._bare or bool(self._held)

    @property
    def defect(self) -> Literal["", "line-ending", "nul"]:
        """What is wrong so far. A bad line end is named before a NUL, in whatever order they came."""
        return "line-ending" if self._bare else "nul" if self._nul else ""


class LineCheck(LineEndCheck):
    """Looks at the longest line and at eight bits as well."""

    def __init__(self) -> None:
        super().__init__()
        self._open_line = 0  # octets of the last, unfinished line
        self.longest_line = 0  # octets without CRLF (RFC 5321 4.5.3.1.6 allows 998)
        self.eight_bit = False

    def feed(self, data: bytes) -> None:
        """Look at the next piece."""
        self.eight_bit = self.eight_bit or not data.isascii()
        lines, ended = self._look(data)
        if lines:
            first = self._open_line + len(lines[0])
            self._open_line = 0 if ended else len(lines[-1]) if len(lines) > 1 else first
            self.longest_line = max(self.longest_line, first, max(map(len, lines)))


class LineFeedFixer:
    """What a client sends that ends its lines in LF alone → the same with CRLF, the end of data included."""

    def __init__(self) -> None:
        self._last = b""  # a CR, at the end of what came

    def feed(self, data: bytes) -> bytes:
        """The next piece."""
        fixed = _BARE_LF.sub(b"\r\n", self._last + data)[len(self._last) :]
        self._last = b"\r" if data.endswith(b"\r") else b"" if data else self._last
        return fixed


class LineEndFixer:
    """Content → the same with every bare CR and bare LF made a CRLF; NUL stays for others to refuse.

    In the header a bare CR becomes a blank: were it the end of a line, text in a field could become another
    field, and a recipient (RFC 5322 2.2). The header goes as far as the first empty line, at least.
    """

    def __init__(self) -> None:
        self._held = b""  # a CR whose LF may still come
        self._header = True
        self._line = b"\n"  # the end of the line before, while in the header

    def feed(self, data: bytes) -> bytes:
        """The next piece. A CR at its very end comes with the next one."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        data = data[: len(data) - len(self._held)]
        if not self._header:
            return _LINE_END.sub(b"\r\n", data)
        found = _EMPTY_LINE.search(self._line + data)
        end = found.end() - len(self._line) if found else len(data)
        self._header = found is None
        self._line = (self._line + data)[-1:].replace(b"\r", b"") if found is None else b""
        head = _BARE_LF.sub(b"\r\n", _BARE_CR.sub(b" ", data[:end]))
        return head + _LINE_END.sub(b"\r\n", data[end:])


class DotStuffer:
    """Content → the octets that follow a 354 (RFC 5321 4.5.2). Expects CRLF lines: see `LineCheck`."""

    def __init__(self) -> None:
        self._tail = b"\r\n"  # the line of DATA itself: content begins at the start of a line

    def feed(self, data: bytes) -> bytes:
        """The next piece, with a dot doubled wherever it begins a line."""
        stuffed = data.replace(b"\r\n.", b"\r\n..")
        if self._tail == b"\r\n" and data[:1] == b".":
            stuffed = b"." + stuffed
        elif self._tail[-1:] == b"\r" and data[:2] == b"\n.":
            stuffed = b"\n.." + stuffed[2:]
        self._tail = (self._tail + data[-2:])[-2:]
        return stuffed

    def end(self) -> bytes:
        """The end of data; a last line without CRLF is completed first."""
        return b".\r\n" if self._tail == b"\r\n" else END_OF_DATA


class DotUnstuffer:
    """The octets that follow a 354 → content, up to the first ``CRLF . CRLF`` and no other end.

    Bare CR, bare LF and NUL are remembered by `check` while the true end is still looked for: a
    server that ends the data anywhere else takes the rest of a message for commands.
    """

    def __init__(self) -> None:
        self._held = b"\r\n"  # what may be the beginning of the end; at first the line of DATA itself
        self._virtual = 2  # octets of it that were never content
        self.check = LineCheck()  # of the content; complete once `done`
        self.done = False
        self.rest = b""  # what came behind the end: commands

    def feed(self, data: bytes) -> bytes:
        """The content in the next piece; may be empty. Sets `done` and `rest` at the end of data."""
        if self.done:
            raise ValueError("the end of data was already found")
        pending = self._held + data
        end = pending.find(END_OF_DATA)
        if end >= 0:
            self.done, self.rest = True, pending[end + len(END_OF_DATA) :]
            keep = end + 2
            self._held = b""
        else:
            keep = len(pending) - _beginning_of_end(pending)
            self._held = pending[keep:]
        content = pending[:keep].replace(b"\r\n.", b"\r\n")
        if content and self._virtual:
            content, self._virtual = content[2:], 0
        self.check.feed(content)
        return content


def _beginning_of_end(data: bytes) -> int:
    """How many octets at the end of `data` may be the beginning of the end of data."""
    return next((n for n in (4, 3, 2, 1) if data.endswith(END_OF_DATA[:n])), 0)
