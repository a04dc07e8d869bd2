"""Replies as bytes, both ways. A server's reply is hostile input: small grammar, hard limits."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

from postbearer.errors import RemoteProtocolError
from postbearer.reply import Reply, printable
from postbearer.wire.buffer import BareLineFeed, LineBuffer, LineTooLong
from postbearer.wire.grammar import CRLF, REPLY_LINE, BadSyntax, base64_decode
from postbearer.wire.status import parse_enhanced

# Whole replies of one line each, which is nearly all that ever comes: these are read in one go.
_FLIGHT = re.compile(rb"(?:[2-5][0-9]{2} [^\r\n]*\r\n)+")
_ONE_LINE = re.compile(rb"([2-5][0-9]{2}) ([^\r\n]*)\r\n")


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """How much one reply may take. RFC 5321 4.5.3.1.5 needs 512 octets a line; SASL needs more.

    The defaults hold a challenge of 32 KiB in one line (44 KiB as base64), and an EHLO list ten times
    longer than any seen. A server that goes beyond costs at most about one MiB before it is left.
    """

    line: int = 65_536  # octets with CRLF
    lines: int = 4_096
    total: int = 1_048_576  # octets of all lines of one reply


class ReplyReader:
    """Bytes in, replies out."""

    def __init__(self, limits: ReplyLimits) -> None:
        self._limits = limits
        self._whole: deque[tuple[bytes, bytes]] = deque()  # code and text; they stand before the buffer
        self._buffer = LineBuffer()
        self._code = b""
        self._lines: list[bytes] = []
        self._total = 0

    def feed(self, data: bytes) -> None:
        """Append what arrived."""
        if (
            not (self._whole or self._lines or self._buffer.data)
            and len(data) <= self._limits.line
            and _FLIGHT.fullmatch(data)
        ):
            self._whole.extend(_ONE_LINE.findall(data))
        else:
            self._buffer.feed(data)

    @property
    def pending(self) -> bool:
        """True if anything is buffered, be it only a part of a reply."""
        return bool(self._whole or self._lines or self._buffer.data)

    def next_reply(self) -> Reply | None:
        """The next whole reply, or None until more arrives.

        Raises `RemoteProtocolError` for what is no reply: a bare CR or LF, a code that is not three
        ASCII digits from 200 to 599, two codes in one reply, too much of it.
        """
        if self._whole:
            code, text = self._whole.popleft()
            return _one_line(code, text)
        while (line := self._next_line()) is not None:
            match = REPLY_LINE.fullmatch(line)
            if match is None:
                error = RemoteProtocolError(f"The server sent what is no SMTP reply: {_shown(line)}.")
                error.said = printable(line[:80])
                raise error
            code, separator, text = match.groups(b"")
            if self._lines and code != self._code:
                raise RemoteProtocolError(f"The server changed the code inside a reply: {_shown(line)}.")
            self._code = code
            self._lines.append(text)
            self._total += len(line)
            if separator != b"-":
                return self._finish()
            if len(self._lines) >= self._limits.lines or self._total > self._limits.total:
                raise RemoteProtocolError("The server sent a reply without end.")
        return None

    def _next_line(self) -> bytes | None:
        try:
            return self._buffer.next_line(self._limits.line)
        except LineTooLong:
            limit = self._limits.line
            raise RemoteProtocolError(f"The server sent a reply line longer than {limit} octets.") from None
        except BareLineFeed:
            raise RemoteProtocolError("The server sent a line feed without carriage return.") from None

    def _finish(self) -> Reply:
        lines = tuple(self._lines)
        self._lines, self._total = [], 0
        return reply_of(int(self._code), lines)


@lru_cache(maxsize=128)  # a server has its usual words
def _one_line(code: bytes, text: bytes) -> Reply:
    return reply_of(int(code), (text,))


def reply_of(code: int, lines: tuple[bytes, ...]) -> Reply:
    """A reply that another client has read: its code, and the texts of its lines."""
    return Reply(code, lines, parse_enhanced(lines[0], code))


def _shown(line: bytes) -> str:
    return repr(printable(line[:80])) + ("…" if len(line) > 80 else "")


def render_reply(reply: Reply) -> bytes:
    """A reply as it goes out. Raises `ValueError` for a line that holds CR or LF."""
    if any(b"\r" in line or b"\n" in line for line in reply.lines):
        raise ValueError("a line of a reply holds a line end")
    *first, last = reply.lines or (b"",)
    lines = [b"%d-%s\r\n" % (reply.code, line) for line in first]
    return b"".join(lines) + (b"%d %s" % (reply.code, last)) + CRLF


def decode_challenge(reply: Reply) -> bytes:
    """What a 334 carries, decoded (RFC 4954 4); ``b""`` for a mere prompt.

    Raises `RemoteProtocolError` if it is not base64.
    """
    try:
        return base64_decode(b"".join(line.strip() for line in reply.lines))
    except BadSyntax:
        raise RemoteProtocolError("The server sent an AUTH challenge that is not base64.") from None
