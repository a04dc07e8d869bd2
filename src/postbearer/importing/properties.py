"""The lines of a properties file, as Java writes and people edit it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.)|$)", re.DOTALL)
_SPECIAL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_SEPARATORS = ("=", ":", " ", "\t")  # the first that is there divides: names may hold blanks


@dataclass(frozen=True, slots=True)
class Property:
    """One property, and the line it begins on."""

    name: str
    value: str
    line: int


def properties(content: bytes) -> Iterator[Property]:
    """Every property, in the order of the file. What is not UTF-8 is Latin-1, as of old."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    for number, line in _logical(text):
        name, value = _divided(line)
        if name:
            yield Property(_unescaped(name).strip(), _unescaped(value), number)


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments; one that ends with a backslash goes on in the next."""
    parts: list[str] = []
    began = 0
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = line.lstrip()
        if not parts and (not line or line[0] in "#!"):
            continue
        began = began if parts else number
        open_ended = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        parts.append(line[:-1] if open_ended else line)
        if not open_ended:
            yield began, "".join(parts)
            parts = []
    if parts:
        yield began, "".join(parts)


def _divided(line: str) -> tuple[str, str]:
    for separator in _SEPARATORS:
        if found := re.search(rf"(?<!\\)(?:\\\\)*({re.escape(separator)})", line):
            return line[: found.start(1)], line[found.end(1) :].lstrip()
    return line, ""


def _unescaped(text: str) -> str:
    def meant(found: re.Match[str]) -> str:
        if found[1]:
            return chr(int(found[1], 16))
        return _SPECIAL.get(found[2] or "", found[2] or "")

    return _ESCAPE.sub(meant, text)
