"""Header lines that are too long, folded where blanks are, and only else within a word (RFC 5322 2.2.3)."""

from __future__ import annotations

from postbearer.message.content import LONGEST_LINE

WISHED = 78  # octets of a line, RFC 5322 2.1.1


def fold(line: bytes, *, addresses: bool = False, most: int = LONGEST_LINE) -> bytes:
    """A field, or any line that may go on behind a blank, as lines of at most 998 octets; unfolded, the same.

    `line` comes without its CRLF. One of up to `most` octets stays as it is. In a list of `addresses` a comma
    without a blank behind it is a place to fold as well. Only a word that no line holds is cut, between two
    characters, and so gets a blank inside.
    """
    if len(line) <= most:
        return line
    pieces: list[bytes] = []
    while len(line) > WISHED and (piece := _first(line, addresses=addresses, begun=bool(pieces))):
        pieces.append(piece)
        line = line[len(piece) :]
        if line[:1] not in (b" ", b"\t"):
            line = b" " + line
    return b"\r\n".join([*pieces, line])


def _first(line: bytes, *, addresses: bool, begun: bool) -> bytes:
    """The first line of what is left; empty when all of it is one line."""
    lowest = 1 if begun else line.find(b":") + 2  # not right behind the name, nor at the last fold's blank
    cut = _place(line, lowest, addresses=addresses)
    if cut and line[cut:].strip(b" \t"):
        return line[:cut]
    if len(line) <= LONGEST_LINE:
        return b""
    cut = LONGEST_LINE - 1
    while cut > LONGEST_LINE - 5 and line[cut] & 0xC0 == 0x80:  # within a character of UTF-8
        cut -= 1
    return line[:cut]


def _place(line: bytes, lowest: int, *, addresses: bool) -> int:
    """Where to fold: at the last place within what is wished for, else at the first there is; 0: nowhere."""
    near, far = line[:WISHED], line[:LONGEST_LINE]
    blank = max(near.rfind(b" ", lowest), near.rfind(b"\t", lowest))
    while blank > lowest and line[blank - 1 : blank] in (b" ", b"\t"):
        blank -= 1
    comma = near.rfind(b",", lowest) + 1 if addresses else 0
    found = max(blank, comma)
    if found > 0 and line[:found].strip(b" \t"):
        return found
    later = [far.find(b" ", max(WISHED, lowest)), far.find(b"\t", max(WISHED, lowest))]
    later += [far.find(b",", max(WISHED, lowest)) + 1] if addresses else []
    return min((place for place in later if place > 0), default=0)
