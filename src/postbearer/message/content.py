"""Content as it is carried: bytes that can be read more than once, in blocks, and what they are made of."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, Protocol

from postbearer.errors import UsageError

BLOCK = 65536
LONGEST_LINE = 998  # octets without CRLF, RFC 5321 4.5.3.1.6 and RFC 5322 2.1.1


class Content(Protocol):
    """One message as RFC 5322 text: CRLF line ends, no dot-stuffing.

    `size` is in octets. `eight_bit`: some octet is above 127. `binary`: it is not made of lines SMTP's
    DATA could carry (a bare CR or LF, a NUL, a line of more than 998 octets).
    """

    @property
    def size(self) -> int: ...
    @property
    def eight_bit(self) -> bool: ...
    @property
    def binary(self) -> bool: ...

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        """All octets from the start, in pieces of `size` (the last may be smaller)."""
        ...


class Traits(NamedTuple):
    """What `scan` found."""

    size: int
    eight_bit: bool
    binary: bool


class Scanner:
    """Finds the `Traits` of content that comes in pieces.

    `checked`: somebody looks out for NUL and for bare CR and LF already, and refuses them.
    """

    def __init__(self, *, checked: bool = False) -> None:
        self._checked = checked
        self._size = 0
        self._eight_bit = False
        self._binary = False
        self._tail = b""  # the line begun in the last piece; never more than one over-long line

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        self._eight_bit = self._eight_bit or not data.isascii()
        if not self._binary:
            self._check_lines(data)

    def finish(self) -> Traits:
        """The traits of everything fed. A line that has no end is a line; a CR that has no LF is bare."""
        if b"\r" in self._tail or len(self._tail) > LONGEST_LINE:
            self._binary = True
        return Traits(self._size, self._eight_bit, self._binary)

    def _check_lines(self, data: bytes) -> None:
        data = self._tail + data if self._tail else data
        end = data.rfind(b"\n") + 1
        whole, self._tail = data[:end], data[end:]
        tail = self._tail.removesuffix(b"\r")  # its LF may be in the next piece
        self._binary = (
            len(tail) > LONGEST_LINE
            or _has_long_line(whole)
            or (not self._checked and (b"\0" in data or b"\r" in tail or not _is_crlf(whole)))
        )


def _is_crlf(whole: bytes) -> bool:
    """Whether every line ends with CRLF, and nothing else is a CR or LF."""
    lines = whole.splitlines()  # also at a bare CR or LF, and then they do not make `whole` again
    lines.append(b"")
    return whole == b"\r\n".join(lines)


def _has_long_line(lines: bytes) -> bool:
    """Whether any of `lines`, which end with CRLF, is too long: from one end to the last within reach."""
    start = 0
    while start < len(lines):
        start = lines.rfind(b"\n", start, start + LONGEST_LINE + len(b"\r\n")) + 1
        if not start:
            return True
    return False


def has_bare_line_ends(content: Content) -> bool:
    """Whether some CR or LF is not part of a CRLF, or some octet is NUL: then it is not made of lines."""
    if not content.binary:
        return False
    held = b""
    for block in content.blocks():
        data = held + block
        held = data[-1:] if data.endswith(b"\r") else b""
        data = data.removesuffix(b"\r")
        clean = b"\r\n".join(data.splitlines())  # also at a bare CR or LF
        if b"\0" in data or data not in (clean, clean + b"\r\n"):
            return True
    return bool(held)


def scan(blocks: Iterable[bytes]) -> Traits:
    """What content consists of, in one pass that keeps at most one block in memory."""
    scanner = Scanner()
    for block in blocks:
        scanner.feed(block)
    return scanner.finish()


class BytesContent:
    """Content held in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        traits = scan((data,))
        self.size = traits.size
        self.eight_bit = traits.eight_bit
        self.binary = traits.binary

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        for start in range(0, len(self._data), size):
            yield self._data[start : start + size]


class FileContent:
    """Content in a file, read again for each pass and never held whole.

    `file` is a path, or an open binary file that can seek; an open file is read from where it stands.
    A path is scanned now and opened anew by `blocks`. If the file changes between the scan and the
    end of a pass, `blocks` raises `UsageError` *before* it hands out the last block, so that a message
    half old and half new is never completed.
    """

    def __init__(self, file: str | os.PathLike[str] | BinaryIO) -> None:
        self._file = file
        self._start = file.tell() if not isinstance(file, str | os.PathLike) else 0
        self._checksum = 0  # CRC-32: tells an accidental change, not a forgery
        scanner = Scanner()
        for block in self._read(BLOCK):
            scanner.feed(block)
            self._checksum = zlib.crc32(block, self._checksum)
        traits = scanner.finish()
        self.size = traits.size
        self.eight_bit = traits.eight_bit
        self.binary = traits.binary

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        held = b""
        total = checksum = 0
        for block in self._read(size):
            if held:
                yield held
            held = block
            total += len(block)
            checksum = zlib.crc32(block, checksum)
        if (total, checksum) != (self.size, self._checksum):
            raise UsageError(f"{self._name} changed while it was being sent.", hint="Send it again.")
        if held:
            yield held

    @property
    def _name(self) -> str:
        file = self._file
        return (
            os.fspath(file) if isinstance(file, str | os.PathLike) else str(getattr(file, "name", "The file"))
        )

    def _read(self, size: int) -> Iterator[bytes]:
        with self._opened() as file:
            while block := file.read(size):
                yield block

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        if isinstance(self._file, str | os.PathLike):
            with open(self._file, "rb") as file:
                yield file
        else:
            self._file.seek(self._start)
            yield self._file
