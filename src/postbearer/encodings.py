"""What stands in a text in another form: escaped character by character, or encoded as a run.

For finding in foreign text what somebody wrote there, whole or in part: nothing here has to be well-formed.
And the other way round, JSON that shows what it holds.
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from collections.abc import Callable, Iterator, Sequence

_HEX = rb"([0-9a-f]{2})"
_ESCAPES: tuple[tuple[re.Pattern[bytes], int], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), base)
    for pattern, base in (
        (rb"%(?:25)*" + _HEX, 16),  # RFC 3986 2.1, once or again
        (rb"=" + _HEX, 16),  # quoted-printable, RFC 2045 6.7
        (rb"\+" + _HEX, 16),  # xtext, RFC 3461 4
        (rb"\\+x\{?0*" + _HEX + rb"\}?", 16),
        (rb"\\+u\{?0*" + _HEX + rb"\}?", 16),
        (rb"\\([0-3][0-7]{2})", 8),
        (rb"0x" + _HEX + rb"[\s,;:]*", 16),
        (rb"u\+0*" + _HEX + rb"[\s,;:]*", 16),
        (rb"&(?:amp;)*#x0*" + _HEX + rb";?", 16),
        (rb"&(?:amp;)*#0*([0-9]{2,3});?", 10),
        (rb"(?<![0-9])([0-9]{2,3})[\s,;:]+", 10),
    )
)
_ANY_ESCAPE = re.compile(rb"[%=+\\&\xef]|0x|[0-9]{2}[\s,;:]", re.IGNORECASE)
_NAMED = re.compile(rb"&(?:amp;)*(amp|lt|gt|quot|apos);", re.IGNORECASE)
_NAMES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}
_WIDE = re.compile(
    rb"\xef(?:\xbc[\x81-\xbf]|\xbd[\x80-\x9e])"
)  # ASCII as it is written beside Chinese, in UTF-8

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{12,}(?:[\r\n]+[A-Za-z0-9+/_-]+)*={0,2}")
_BASE32 = re.compile(rb"[A-Z2-7]{16,}|[a-z2-7]{16,}")
_BASE32_HEX = re.compile(rb"[0-9A-V]{16,}|[0-9a-v]{16,}")
_BASE16 = re.compile(rb"[0-9a-f]{20,}", re.IGNORECASE)
_BASE2 = re.compile(rb"[01]{7,}(?:\s+[01]{7,})+|[01]{56,}")
_ANY_RUN = re.compile(rb"[A-Za-z0-9+/_-]{12}|[01]{7}")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_DIGITS = bytes.maketrans(
    b"abcdefghijklmnopqrstuvwxyz234567", b"0123456789abcdefghijklmnopqrstuv"
)  # RFC 4648 6
_SOMETHING = re.compile(rb"[!-~]{8}")


def unescaped(data: bytes) -> Iterator[tuple[bytes, Sequence[int]]]:
    """`data` without the escapes of one kind, for each kind that is in it; and where each octet began."""
    if not _ANY_ESCAPE.search(data):
        return
    for pattern, base in _ESCAPES:
        if pattern.search(data):
            yield _replaced(data, pattern, lambda found, base=base: bytes([int(found[1], base) & 0xFF]))  # type: ignore[misc]
    if _NAMED.search(data):
        yield _replaced(data, _NAMED, lambda found: _NAMES[found[1].lower()])
    if _WIDE.search(data):
        yield _replaced(data, _WIDE, lambda found: bytes([ord(found[0].decode()) - 0xFEE0]))


def _replaced(
    data: bytes, pattern: re.Pattern[bytes], meant: Callable[[re.Match[bytes]], bytes]
) -> tuple[bytes, Sequence[int]]:
    text = bytearray()
    places: list[int] = []
    end = 0
    for found in pattern.finditer(data):
        text += data[end : found.start()] + meant(found)
        places += range(end, found.start() + 1)
        end = found.end()
    text += data[end:]
    places += range(end, len(data) + 1)
    return bytes(text), places


def decoded(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Runs of `data` that may be something encoded: where they begin and end, and what they would be.

    Wherever a run was cut: it is read at each place where an octet may begin.
    """
    if not _ANY_RUN.search(data):
        return
    for pattern, step, number in _RUNS:
        for run in pattern.finditer(data):
            bits = number(run[0])
            for shift in range(0, 8, step):
                octets = (bits >> shift).to_bytes(len(run[0]) + 1, "big").lstrip(b"\0")
                if _SOMETHING.search(octets.replace(b"\0", b"")):
                    yield run.start(), run.end(), octets


def _base64(run: bytes) -> int:
    run = run.translate(_STANDARD, b"\r\n=")
    return int.from_bytes(a2b_base64(run + b"A" * (-len(run) % 4)), "big")


_RUNS: tuple[tuple[re.Pattern[bytes], int, Callable[[bytes], int]], ...] = (
    (_BASE64, 2, _base64),
    (_BASE32, 1, lambda run: int(run.lower().translate(_DIGITS), 32)),
    (_BASE32_HEX, 1, lambda run: int(run, 32)),
    (_BASE16, 4, lambda run: int(run, 16)),
    (_BASE2, 1, lambda run: int(b"".join(run.split()), 2)),
)


def plain_json(text: str) -> str:
    """`text`, which is JSON, with what nobody would see as it stands escaped (RFC 8259 7): the same values.

    Else a line that somebody looks at could turn around, by characters for bidirectional text.
    """
    if text.isascii():
        return text
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
