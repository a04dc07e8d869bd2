"""The one gate for words of others: what we sent does not come back through them, in whatever dress.

A server may repeat what it refuses: whole or in part, in other case, backwards, split by blanks, as
base64 behind something else, in hex, escaped for a URL or for JSON, or twice over. A `Redactor` is told what
was sent, and takes every piece of it out of what is shown.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from urllib.parse import quote

from postbearer.encodings import decoded, unescaped
from postbearer.secret import MASK, Secret

PIECE = 10  # characters of a secret in a row that are no accident
SHORTEST = 3  # characters: a secret that is shorter stands in any text
DEPTH = 2  # times that something may be encoded again
SHORT, REMEMBERED = 200, 500  # octets of a text, and texts, that are known to be clean
LONGEST = 16_384  # octets of a text that are looked at, and shown

_LONG_RUN = re.compile(r"[A-Za-z0-9\-._~+/=%]{80,}")  # longer than any id: a token or an assertion
_SAID = 400  # characters of what a server of HTTP says that are shown
_BLANK = re.compile(rb"\s+")
_MARKS = re.compile(rb"[^a-z0-9]+")
_EACH_MARK = bytes(octet for octet in range(256) if _MARKS.match(bytes([octet])))


class Redactor:
    """Takes `secrets`, and everything made of them, out of texts.

    The work grows with the length of the text and with that of the secrets, each by itself.
    """

    def __init__(self, secrets: Iterable[Secret | str | bytes] = (), *, piece: int = PIECE) -> None:
        self._secrets = [_octets(secret) for secret in secrets]
        self._piece = piece  # so many characters of one are hidden wherever they stand
        self._clean: set[bytes] = set()  # short texts that hold none, as servers say the same all day

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._secrets)} secrets>"

    def text(self, text: str) -> str:
        """`text` without any secret; cut after `LONGEST` octets."""
        if not self._secrets:
            return text[:LONGEST]
        return self.octets(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")

    def octets(self, data: bytes) -> bytes:
        """As `text`, for what may be in any encoding or none."""
        if data in self._clean:
            return data
        data = data[:LONGEST]
        hidden = bytearray(len(data))
        for start, end in self._told(data, DEPTH):
            hidden[start:end] = b"\x01" * (end - start)
        if not any(hidden):
            self._remember(data)
            return data
        return b"".join(_masked(data, hidden))

    def _remember(self, clean: bytes) -> None:
        if len(clean) <= SHORT:
            if len(self._clean) >= REMEMBERED:
                self._clean.clear()
            self._clean.add(clean)

    def _told(self, data: bytes, depth: int) -> Iterator[tuple[int, int]]:
        """Where in `data` something of a secret begins, and where it ends."""
        for text, places in ((data, range(len(data) + 1)), *unescaped(data)):
            for narrow in (False, True):
                if not _may_hold(_bare(text, narrow=narrow), self._forms[narrow]):
                    continue  # as nearly always
                view, stood = _view(text, narrow=narrow)
                for start, length in _found(view, self._forms[narrow]):
                    yield places[stood[start]], places[stood[start + length - 1] + 1]
        for start, end, octets in decoded(data) if depth else ():
            if any(self._told(octets, depth - 1)):
                yield start, end

    @cached_property
    def _forms(self) -> tuple[_Forms, _Forms]:
        """What to look for, as it is seen without blanks, and without any marks."""
        secrets = tuple(self._secrets)
        return _forms(secrets, self._piece, narrow=False), _forms(secrets, self._piece, narrow=True)


def scrub(text: str, secrets: Iterable[Secret]) -> str:
    """`text` of a server, made safe to show: no secret of ours, nothing token-like, no control characters."""
    text = _LONG_RUN.sub(MASK, Redactor(secrets).text(text))
    text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())[:_SAID]


def _octets(secret: Secret | str | bytes) -> bytes:
    if isinstance(secret, bytes):
        return secret
    value = secret.reveal() if isinstance(secret, Secret) else secret
    return value.encode("utf-8", "surrogateescape")


def _dresses(secret: bytes) -> Iterable[bytes]:
    """Every form in which `secret` may come back; one that is reversed is found as well."""
    secret = secret.strip()
    yield secret
    yield secret.hex().encode()
    yield quote(secret, safe="").encode()
    for shift in range(3):
        # Behind 0, 1 or 2 unknown octets; only the characters that depend on ours alone.
        encoded = b64encode(b"\0" * shift + secret).rstrip(b"=")
        whole = ((shift + len(secret)) * 8) // 6
        yield encoded[(shift * 8 + 5) // 6 : whole]
        yield encoded[(shift * 8 + 5) // 6 : whole].translate(_URL_SAFE)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _view(data: bytes, *, narrow: bool) -> tuple[bytes, Sequence[int]]:
    """`data` in lower case without blanks, `narrow` without marks too; and where each octet stood."""
    lowered = data.lower()
    pattern = _MARKS if narrow else _BLANK
    places: list[int] = []
    end = 0
    for gap in pattern.finditer(lowered):
        places += range(end, gap.start())
        end = gap.end()
    places += range(end, len(lowered))
    return _bare(data, narrow=narrow), places


def _bare(data: bytes, *, narrow: bool) -> bytes:
    """The first of `_view`."""
    lowered = data.lower()
    return lowered.translate(None, _EACH_MARK) if narrow else b"".join(lowered.split())


_Forms = tuple[tuple[int, bytes, dict[bytes, list[int]], frozenset[bytes]], ...]


@lru_cache(maxsize=4)  # of a token a megabyte or two; what is refused once may be refused a thousand times
def _forms(secrets: tuple[bytes, ...], whole: int, *, narrow: bool) -> _Forms:
    """What to look for: how many octets in a row, the forms in one text, where in it their blocks are, and
    these as they stand in a text forwards or backwards.

    Of one that is shorter than `whole` all of it. What stands in no view parts the forms; a piece of twice
    the length of a block, but one, holds one, wherever it begins.
    """
    lengths: dict[int, set[bytes]] = {}
    for secret in secrets:
        for form in _dresses(secret):
            seen = _bare(form, narrow=narrow)
            if len(seen) >= SHORTEST:
                lengths.setdefault(min(whole, len(seen)), set()).add(seen)
    return tuple((length, *_blocks(forms, (length + 1) // 2)) for length, forms in lengths.items())


def _blocks(forms: Iterable[bytes], size: int) -> tuple[bytes, dict[bytes, list[int]], frozenset[bytes]]:
    joined = b"\n" + b"\n".join(forms) + b"\n"
    places: dict[bytes, list[int]] = {}
    begins = 1
    for form in forms:
        for start in range(0, len(form) - size + 1, size):
            places.setdefault(form[start : start + size], []).append(begins + start)
        begins += len(form) + 1
    return joined, places, frozenset([*places, *(block[::-1] for block in places)])


def _may_hold(view: bytes, forms: _Forms) -> bool:
    """Whether a block of any form is in `view`, forwards or backwards: else no piece of one can be."""
    for length, _, _, both_ways in forms:
        size = (length + 1) // 2
        if not both_ways.isdisjoint([view[at : at + size] for at in range(len(view) - size + 1)]):
            return True
    return False


def _found(view: bytes, forms: _Forms) -> Iterator[tuple[int, int]]:
    """Where in `view`, forwards or backwards, pieces of the `forms` begin, and their length."""
    for length, joined, places, _ in forms:
        if len(view) < length:
            continue
        yield from _runs(view, length, joined, places)
        for start, run in _runs(view[::-1], length, joined, places):
            yield len(view) - start - run, run


def _runs(
    view: bytes, length: int, joined: bytes, places: dict[bytes, list[int]]
) -> Iterator[tuple[int, int]]:
    """Where in `view` something of `length` or more begins that stands in `joined`, too."""
    size = (length + 1) // 2
    looked: dict[int, int] = {}  # how far, by how much further the same stands in `joined`
    for at in range(len(view) - size + 1):
        for place in places.get(view[at : at + size], ()):
            if looked.get(place - at, 0) > at:
                continue
            first, last, ahead = at, at + size, place - at
            while first and view[first - 1] == joined[first - 1 + ahead]:
                first -= 1
            while last < len(view) and view[last] == joined[last + ahead]:
                last += 1
            looked[ahead] = last
            if last - first >= length:
                yield first, last - first


def _masked(data: bytes, hidden: bytearray) -> Iterable[bytes]:
    for run in re.finditer(rb"\x00+|\x01+", hidden):
        yield MASK.encode() if hidden[run.start()] else data[run.start() : run.end()]
