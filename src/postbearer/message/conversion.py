"""Content made fit for a way that does not take it as it is: long lines, 8-bit text, UTF-8 in the header.

A body becomes quoted-printable (RFC 6152 3, RFC 2045 6.7), base64 and quoted-printable that are there already
get shorter lines, a header field is folded or written in encoded words: after decoding it is the same text.
What is signed is never changed: its signature would not hold any more.
"""

from __future__ import annotations

import codecs
import re
from binascii import b2a_qp
from collections.abc import Iterator
from string import ascii_letters, digits
from typing import Protocol

from postbearer.errors import UsageError
from postbearer.message.content import BLOCK, LONGEST_LINE, Content, Scanner
from postbearer.message.encoded_words import ADDRESSES, ascii_field
from postbearer.message.fields import Field, Header
from postbearer.message.folding import fold
from postbearer.message.mime import MOST_PARTS, Kind, Part, PartReader, Piece

SIGNATURES = ("dkim-signature", "arc-message-signature")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
_NOT_BASE64 = bytes(set(range(256)) - set(f"{ascii_letters}{digits}+/=".encode()))
_NOT_QUOTED = re.compile(rb"[^\t\x20-\x7e]")
_QUOTED_PIECE = re.compile(rb"(?:=[0-9A-Fa-f]{2}|.){1,73}", re.DOTALL)
_BASE64_LINE = 76
_STATUS = "5.6.3"  # conversion required but not supported, RFC 3463 3.7
MOST_FOREIGN = 64 * 1024  # octets of a header that are written in ASCII: that takes its time
_HINT = "Have the program that makes it write shorter lines, and encode what is not ASCII."


class Encoder(Protocol):
    """Writes a body anew, piece by piece."""

    def feed(self, data: bytes) -> bytes: ...
    def finish(self) -> bytes: ...


class Conversion:
    """What has to be done to `content` for a way that may take `eight_bit` octets, and `utf8` in the header.

    Exhaust `look`, which may be left and taken up again between its steps; then there is `content`.
    """

    def __init__(self, content: Content, *, eight_bit: bool, utf8: bool) -> None:
        self._original = content
        self._way = _Way(eight_bit=eight_bit, utf8=utf8)
        self._result: Content | None = None

    def look(self) -> Iterator[None]:
        """Find out what it is made of, a block at each step. Raises `UsageError`."""
        needs = _Needs(self._way)
        reader = PartReader()
        for block in self._original.blocks():
            for piece in reader.feed(block):
                needs.see(piece)
            if reader.count > MOST_PARTS:
                raise UsageError(f"The message has more than {MOST_PARTS} parts.", status=_STATUS)
            yield
        for piece in reader.finish():
            needs.see(piece)
        needs.finish()
        if not needs.any:
            self._result = self._original
            return
        size, ascii_only = 0, True
        for octets in _written(self._original, self._way, needs):
            size += len(octets)
            ascii_only = ascii_only and octets.isascii()
            yield
        self._result = Converted(self._original, self._way, needs, size=size, eight_bit=not ascii_only)

    @property
    def content(self) -> Content:
        """What may leave; the same object if nothing has to be changed."""
        if self._result is None:
            raise ValueError("look first")
        return self._result


def convert(content: Content, *, eight_bit: bool = True, utf8: bool = True) -> Content:
    """`content` as a way takes it, for those who can wait for it in one go. Raises `UsageError`."""
    conversion = Conversion(content, eight_bit=eight_bit, utf8=utf8)
    for _ in conversion.look():
        pass
    return conversion.content


class Converted:
    """A `Content` that is converted anew at each reading."""

    binary = False

    def __init__(self, original: Content, way: _Way, needs: _Needs, *, size: int, eight_bit: bool) -> None:
        self.size = size
        self.eight_bit = eight_bit
        self._original, self._way, self._needs = original, way, needs

    def blocks(self, size: int = BLOCK) -> Iterator[bytes]:
        held = b""
        for piece in _written(self._original, self._way, self._needs):
            held += piece
            whole = len(held) - len(held) % size
            for start in range(0, whole, size):
                yield held[start : start + size]
            held = held[whole:] if whole else held
        if held:
            yield held


class _Way:
    def __init__(self, *, eight_bit: bool, utf8: bool) -> None:
        self.eight_bit = eight_bit
        self.utf8 = utf8 and eight_bit  # RFC 6531 3.1


class _Needs:
    """Which parts have to be written anew, by their numbers."""

    def __init__(self, way: _Way) -> None:
        self.bodies: dict[int, str] = {}  # and the charset of those that name none
        self.any = False
        self._way = way
        self._part: Part | None = None
        self._signed = False
        self._scanner = Scanner()
        self._utf8: codecs.IncrementalDecoder | None = None

    def see(self, piece: Piece) -> None:
        """Take the next piece."""
        if piece.kind is Kind.HEADER:
            self.finish()
            self._header(piece)
        elif piece.kind is Kind.BETWEEN:
            self.finish()
            if _defective(piece.data, self._way):
                self._allow(piece.part, eight_bit=not piece.data.isascii())
        else:
            self._part = piece.part
            self._scanner.feed(piece.data)
            if not piece.data.isascii() and self._utf8 is not None:
                try:
                    self._utf8.decode(piece.data)
                except UnicodeDecodeError:
                    self._utf8 = None

    def finish(self) -> None:
        """A body is complete."""
        part, self._part = self._part, None
        if part is None:
            return
        traits, self._scanner = self._scanner.finish(), Scanner()
        if not traits.binary and (self._way.eight_bit or not traits.eight_bit):
            return
        self._allow(part, eight_bit=traits.eight_bit)
        self.bodies[part.number] = (
            "us-ascii" if not traits.eight_bit else "utf-8" if self._utf8 is not None else "windows-1252"
        )

    def _header(self, piece: Piece) -> None:
        if piece.part.number == 0:
            self._signed = any(name in piece.part.header for name in SIGNATURES)
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        if piece.part.fault and _defective(piece.data, self._way):
            self._allow(piece.part)
        if _mended(piece.part.header, self._way) is not piece.part.header:
            self._allow(piece.part)

    def _allow(self, part: Part, *, eight_bit: bool = False) -> None:
        """Note that something is to be changed. Raises `UsageError` where that must not be."""
        self.any = True
        what = "lines of more than 998 octets"
        if eight_bit and not self._way.eight_bit:
            what = "8-bit text, which the server does not take"
        if self._signed or part.signed:
            raise UsageError(
                f"The message has {what}, or a header that cannot leave as it is; but it is signed, and "
                "mending it would break the signature.",
                hint="Sign it after its lines are short and what is not ASCII is encoded (RFC 6376 5.3).",
                status=_STATUS,
            )
        if part.fault:
            raise UsageError(f"{part.fault}.", hint=_HINT, status=_STATUS)
        nested = part.main == "multipart" and not part.boundary
        fields = part.main == "message" and part.plain and not part.holds_message
        known = part.plain or part.encoding in ("base64", "quoted-printable")
        if nested or not known or (fields and eight_bit and not self._way.eight_bit):
            raise UsageError(
                f"The message has {what}, in a part that cannot be encoded anew: "
                f"{part.main}/{part.sub}, {part.encoding}."[:300],
                hint=_HINT,
                status=_STATUS,
            )


def _written(content: Content, way: _Way, needs: _Needs) -> Iterator[bytes]:
    """The octets of `content` as they leave."""
    reader = PartReader()
    encoder: Encoder | None = None
    place = -1
    for piece in _pieces(reader, content):
        if encoder is not None and (piece.kind is not Kind.BODY or piece.part.number != place):
            yield encoder.finish()
            encoder = None
        if piece.kind is Kind.HEADER:
            charset = needs.bodies.get(piece.part.number)
            header = _rewritten(piece.part, way, charset)
            if needs.bodies and piece.part.number == 0 and "mime-version" not in header:
                header = _with(header, "MIME-Version", "1.0")
            if header is piece.part.header:
                yield piece.data + (b"\r\n" if piece.ended else b"")
            else:
                yield bytes(header) + b"\r\n"
            encoder, place = None if charset is None else _encoder(piece.part), piece.part.number
        elif piece.kind is Kind.BETWEEN:
            yield _plain_lines(piece.data, way)
        else:
            yield piece.data if encoder is None else encoder.feed(piece.data)
    if encoder is not None:
        yield encoder.finish()


def _pieces(reader: PartReader, content: Content) -> Iterator[Piece]:
    for block in content.blocks():
        yield from reader.feed(block)
    yield from reader.finish()


def _rewritten(part: Part, way: _Way, charset: str | None) -> Header:
    """The header of a part as it leaves; `charset`: its body is written anew."""
    header = _mended(part.header, way)
    if charset is not None and part.plain and part.main != "message":
        header = _with(header, "Content-Transfer-Encoding", "quoted-printable")
        if "content-type" not in header:
            header = _with(header, "Content-Type", f"text/plain; charset={charset}")
    elif not part.signed and part.encoding in ("binary", "8bit" if not way.eight_bit else "binary"):
        header = _with(header, "Content-Transfer-Encoding", "8bit" if way.eight_bit else "7bit")
    return header


def _with(header: Header, name: str, value: str) -> Header:
    """The field where it stands, or as the last one."""
    if name.lower() in header:
        return header.set(name, value)
    return Header((*header.fields, Field(name.lower(), f"{name}: {value}\r\n".encode())))


def _mended(header: Header, way: _Way) -> Header:
    """The header with lines that are short enough, and in ASCII unless UTF-8 may leave."""
    foreign = sum(len(field.raw) for field in header.fields if not field.raw.isascii())
    if foreign > MOST_FOREIGN and not way.utf8:
        raise UsageError(
            f"The header has {foreign} octets in fields that are not ASCII, which is too much to be encoded.",
            hint=_HINT,
            status=_STATUS,
        )
    fields = tuple(_mended_field(field, way) for field in header.fields)
    return header if fields == header.fields else Header(fields)


def _mended_field(field: Field, way: _Way) -> Field:
    if not way.utf8:
        field = ascii_field(field)
    if len(field.raw) <= LONGEST_LINE:
        return field
    if all(len(line) <= LONGEST_LINE for line in field.raw.split(b"\r\n")):
        return field
    line = field.raw.replace(b"\r\n", b"")
    return Field(field.name, fold(line, addresses=field.name in ADDRESSES) + b"\r\n")


def _encoder(part: Part) -> Encoder:
    if part.encoding == "base64":
        return _Base64()
    if part.encoding == "quoted-printable":
        return _Quoted()
    return _Lines() if part.main == "message" else _ToQuoted()


class _ToQuoted:
    """Lines → quoted-printable; a bare CR or LF and NUL as well."""

    def feed(self, data: bytes) -> bytes:
        *lines, begun = data.split(b"\r\n")
        encoded = [_quoted(line) + b"\r\n" for line in lines]
        if begun:
            encoded.append(_quoted(begun) + b"=\r\n")
        return b"".join(encoded)

    def finish(self) -> bytes:
        return b""


def _quoted(line: bytes) -> bytes:
    return b2a_qp(line, istext=False).replace(b"\n", b"\r\n")


class _Quoted:
    """Quoted-printable whose lines are too long, or not in ASCII."""

    def __init__(self) -> None:
        self._held = b""  # the beginning of an octet's code

    def feed(self, data: bytes) -> bytes:
        *lines, begun = (self._held + data).split(b"\r\n")
        self._held = b""
        if begun:
            cut = begun.find(b"=", len(begun) - 2)
            begun, self._held = (begun, b"") if cut < 0 else (begun[:cut], begun[cut:])
        written = [self._short(line) + b"\r\n" for line in lines]
        if begun:
            written.append(self._short(begun) + b"=\r\n")
        return b"".join(written)

    def finish(self) -> bytes:
        return self._short(self._held)

    @staticmethod
    def _short(line: bytes) -> bytes:
        line = _NOT_QUOTED.sub(lambda found: b"=%02X" % found[0][0], line)
        return line if len(line) <= LONGEST_LINE - 2 else b"=\r\n".join(_QUOTED_PIECE.findall(line))


class _Base64:
    """Base64 in lines of the usual length; what is none of it was no part of what it means."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        data = self._held + data.translate(None, _NOT_BASE64)
        end = len(data) - len(data) % _BASE64_LINE
        self._held = data[end:]
        lines = [data[start : start + _BASE64_LINE] + b"\r\n" for start in range(0, end, _BASE64_LINE)]
        return b"".join(lines)

    def finish(self) -> bytes:
        return self._held + b"\r\n" if self._held else b""


class _Lines:
    """What may not be encoded, like the fields of a delivery report: lines that go on behind a blank."""

    def feed(self, data: bytes) -> bytes:
        return b"\r\n".join(fold(_BARE.sub(b"?", line)) for line in data.split(b"\r\n"))

    def finish(self) -> bytes:
        return b""


def _defective(data: bytes, way: _Way) -> bool:
    if not way.eight_bit and not data.isascii():
        return True
    scanner = Scanner()
    scanner.feed(data)
    return scanner.finish().binary


def _plain_lines(data: bytes, way: _Way) -> bytes:
    """What stands between parts, which nobody is shown."""
    if not _defective(data, way):
        return data
    if not way.eight_bit:
        data = data.decode("ascii", "replace").replace("\ufffd", "?").encode()
    return _Lines().feed(data)
