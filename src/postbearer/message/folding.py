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
    last = len(line.rstrip(b" \t"))
    if len(line) - last > WISHED:
        line = line[:last]
    pieces: list[bytes] = []
    start, opening = 0, b""  # of the line that comes next, and the blank that it has to begin with
    while len(line) - start > WISHED:
        near = opening + line[start : start + LONGEST_LINE]
        cut = _place(near, 1 if pieces else line.find(b":") + 2, addresses=addresses)
        if not cut or start + cut - len(opening) >= last:
            if len(opening) + len(line) - start <= LONGEST_LINE:
                break
            cut = _hard(near)
        pieces.append(near[:cut])
        start += cut - len(opening)
        opening = b"" if line[start : start + 1] in (b" ", b"\t") else b" "
    return b"\r\n".join([*pieces, opening + line[start:]])


def _place(near: bytes, lowest: int, *, addresses: bool) -> int:
    """Where to fold: at the last place within what is wished for, else at the first there is; 0: nowhere.

    Not in front of `lowest`: right behind the name, or at the blank of the last fold.
    """
    blank = max(near.rfind(b" ", lowest, WISHED), near.rfind(b"\t", lowest, WISHED))
    while blank > lowest and near[blank - 1 : blank] in (b" ", b"\t"):
        blank -= 1
    found = max(blank, near.rfind(b",", lowest, WISHED) + 1 if addresses else 0)
    if found > 0 and near[:found].strip(b" \t"):
        return found
    start = max(WISHED, lowest)
    later = [near.find(b" ", start, LONGEST_LINE), near.find(b"\t", start, LONGEST_LINE)]
    later += [near.find(b",", start, LONGEST_LINE - 1) + 1] if addresses else []
    return min((place for place in later if place > 0), default=0)


def _hard(near: bytes) -> int:
    """The longest line that ends between two characters of UTF-8."""
    cut = LONGEST_LINE - 1
    while cut > LONGEST_LINE - 5 and near[cut] & 0xC0 == 0x80:
        cut -= 1
    return cut
