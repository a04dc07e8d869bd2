"""The line a key of a TOML file stands on, for error messages.

`tomllib` gives values without places, and a full parser that keeps them is slow to start; errors are
rare, so the text is scanned only when one has been found. The text is known to be valid TOML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Path = tuple[str | int, ...]

_KEY_PART = re.compile(r"""[ \t]*(?:"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)'|([A-Za-z0-9_-]+))[ \t]*(\.?)""")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)+")
_VALUE_PART = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[{]|[\]}]|\n|[^"\'#\[\]{}\n]+',
    re.DOTALL,
)


class LineNumbers:
    """Line numbers by path, such as ``("accounts", "alerts", "tls")`` or ``("relay", "clients", 0)``."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str, ...], int] = {}
        for path, line in _scan(text):
            parts = tuple(map(str, path))
            for length in range(1, len(path) + 1):
                self._lines.setdefault(parts[:length], line)
            if path and isinstance(path[-1], int):  # each [[…]] names its own element
                self._lines[parts] = line

    def of(self, path: Path) -> int | None:
        """The line of `path`, or of the nearest thing around it that has one."""
        parts = tuple(map(str, path))  # the name of a key may have been cut at its dots
        for length in range(len(path), 0, -1):
            if (line := self._lines.get(parts[:length])) is not None:
                return line
        return None


def dotted(path: Path) -> str:
    """A path as people write it: ``accounts.alerts.tls``."""
    return ".".join(str(part) for part in path)


def split_dotted(name: str) -> Path:
    """The opposite of `dotted`; quoted parts may hold dots. Raises `ValueError` for an empty part."""
    parts, position = [], 0
    while True:
        match = _KEY_PART.match(name, position)
        if match is None:
            raise ValueError("is not a name of a key")
        parts.append(_key(match))
        position = match.end()
        if not match[4]:
            break
    if position != len(name):
        raise ValueError("is not a name of a key")
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _scan(text: str) -> Iterator[tuple[Path, int]]:
    table: Path = ()
    counts: dict[Path, int] = {}
    position = 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            position = blank.end()
            continue
        line = text.count("\n", 0, position) + 1
        if text.startswith("[[", position):
            keys, position = _keys(text, position + 2)
            table = _through_arrays(keys, counts)
            counts[table] = counts.get(table, -1) + 1
            table = (*table, counts[table])
            position += 2
        elif text[position] == "[":
            keys, position = _keys(text, position + 1)
            table = _through_arrays(keys, counts)
            if table in counts:
                table = (*table, counts[table])
            position += 1
        else:
            keys, position = _keys(text, position)
            position = _end_of_value(text, position + 1)
            yield (*table, *keys), line
            continue
        yield table, line


def _keys(text: str, position: int) -> tuple[Path, int]:
    keys: list[str] = []
    while match := _KEY_PART.match(text, position):
        keys.append(_key(match))
        position = match.end()
        if not match[4]:
            break
    return tuple(keys), position


def _key(match: re.Match[str]) -> str:
    return next((part for part in match.groups()[:3] if part is not None), "")


def _through_arrays(keys: Path, counts: dict[Path, int]) -> Path:
    """Insert the current index behind every array of tables that `keys` passes through."""
    path: Path = ()
    for key in keys[:-1]:
        path = (*path, key)
        if path in counts:
            path = (*path, counts[path])
    return (*path, *keys[-1:])


def _end_of_value(text: str, position: int) -> int:
    depth = 0
    while match := _VALUE_PART.match(text, position):
        position = match.end()
        if match[0] in "[{":
            depth += 1
        elif match[0] in "]}":
            depth -= 1
        elif match[0] == "\n" and depth <= 0:
            break
    return position
