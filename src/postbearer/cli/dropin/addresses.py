"""Mail addresses from a field or a word of the command line (RFC 5322 3.4), without regular expressions.

`postbearer.message` has a stricter reader; importing ``re`` for it would take longer than all the rest of
a hand-over. The relay checks each address again.
"""

from __future__ import annotations

from postbearer.address_words import address_words
from postbearer.cli.dropin.arguments import DATA, EarlyExit

_PAIRS = {"(": ")", "<": ">", '"': '"', "[": "]"}


def addresses(value: str) -> list[str]:
    """The addresses in a list of mailboxes and groups. Raises `EarlyExit` for text that is none."""
    found: list[str] = []
    text, angle = "", ""
    for part in [*_parts(value), ","]:
        if part in (",", ";"):
            if angle:
                found.append(_address(angle[1:-1], value))
            elif text.strip():
                found += [_address(each, value) for each in address_words(text)]
            text, angle = "", ""
        elif part == ":" and not angle:
            if "@" in text:
                raise _unreadable(value)
            text = ""  # the name of a group
        elif part[0] == "<":
            if angle:
                raise _unreadable(value)
            angle = part
        elif part[0] != "(":
            if angle and part.strip():
                raise _unreadable(value)
            text += part
    return found


def word_addresses(word: str) -> list[str]:
    """The same from a word of the command line, which is one line."""
    if any(char < " " != char != "\t" or "\x7f" <= char <= "\x9f" or char in "\u2028\u2029" for char in word):
        raise EarlyExit(DATA, f"the address {_shown(word)} holds a line end or a control character")
    return addresses(word)


def qualified(address: str, host: str) -> str:
    """An address with a domain: names without one are of this machine."""
    return address if "@" in address else f"{address}@{host}"


def _parts(value: str) -> list[str]:
    """`value` cut into quoted strings, comments, angle addresses, separators, and the text between."""
    parts: list[str] = []
    start = place = 0
    while place < len(value):
        char = value[place]
        if char in ",;:" or char in _PAIRS:
            if place > start:
                parts.append(value[start:place])
            end = _end(value, place) if char in _PAIRS else place + 1
            parts.append(value[place:end])
            start = place = end
        else:
            place += 1
    if place > start:
        parts.append(value[start:])
    return parts


def _end(value: str, start: int) -> int:
    """Where what opens at `start` is over."""
    opening, closing = value[start], _PAIRS[value[start]]
    depth, place = 1, start + 1
    while depth and place < len(value):
        char = value[place]
        if char == "\\" and opening in '("':
            place += 1
        elif char == closing:
            depth -= 1
        elif char == opening:
            depth += 1
        elif char == '"' and opening == "<":
            place = _end(value, place) - 1
        place += 1
    if depth:
        raise _unreadable(value)
    return place


def _address(text: str, value: str) -> str:
    text = text.strip()
    local = text.rpartition("@")[0] or text
    bare = local[0] != '"' if local else True
    if local.startswith("=?") and local.endswith("?="):  # no address, RFC 2047 5
        raise _unreadable(value)
    if not text or not text.isprintable() or (bare and any(char in text for char in ' "<>()')):
        raise _unreadable(value)
    return text


def _unreadable(value: str) -> EarlyExit:
    return EarlyExit(DATA, f"{_shown(value)} is not a list of mail addresses")


def _shown(value: str) -> str:
    return repr("".join([char if char.isprintable() else "?" for char in value[:80]]))
